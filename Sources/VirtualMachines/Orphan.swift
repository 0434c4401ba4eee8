import Logging
import NIOCore
import QEMU

/// What a deleted VM left behind when the daemon died in the middle of removing it.
enum Orphan {
    /// Ends the QEMU that runs in `directory`, if any, and removes the directory.
    static func remove(directory path: String, group: any EventLoopGroup, logger: Logger) async {
        do {
            let directory = try VMDirectory(path: path)
            if let process = try await QEMUProcess.attach(to: directory, group: group) {
                process.kill()
                _ = await process.exit()
            }
        } catch {
            logger.warning("orphaned VM not ended", metadata: ["path": "\(path)", "error": "\(error)"])
            return
        }
        if let failure = DirectoryRemoval.remove(path) {
            logger.warning("orphaned VM not removed", metadata: ["path": "\(failure)"])
        } else {
            logger.notice("orphaned VM removed", metadata: ["path": "\(path)"])
        }
    }
}

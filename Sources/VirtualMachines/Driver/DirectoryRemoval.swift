import FoundationEssentials
import Glibc

/// Removes a VM's directory, of which a part belonged to an untrusted QEMU.
enum DirectoryRemoval {
    /// Removes everything below and at `path`; answers the first path that would not go, or nil.
    ///
    /// Links are removed, never followed: `removeItem` works by directory entries.
    static func remove(_ path: String) -> String? {
        do {
            try FileManager.default.removeItem(atPath: path)
            return nil
        } catch {
            var status = stat()
            return lstat(path, &status) == 0 ? path : nil
        }
    }
}

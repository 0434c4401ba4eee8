import Foundation
import Glibc

/// Finds processes by the directory they work in.
enum ProcessTable {
    /// Ids of the processes whose working directory is `directory` or lies in it, and whose command begins with `name`.
    static func processes(in directory: String, named name: String) -> [pid_t] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let resolved = URL(fileURLWithPath: directory).resolvingSymlinksInPath().path
        return all.compactMap { pid_t($0) }.filter { id in
            let cwd = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/cwd")
            let command = (try? String(contentsOfFile: "/proc/\(id)/comm", encoding: .utf8)) ?? ""
            return (cwd == resolved || cwd?.hasPrefix(resolved + "/") == true) && command.hasPrefix(name)
        }
    }

    /// SIGKILL to the QEMU of a VM's directory.
    static func killQEMU(in directory: String) throws {
        let found = processes(in: directory, named: "qemu")
        guard !found.isEmpty else { throw HarnessError("no QEMU works in \(directory)") }
        for id in found { _ = kill(id, SIGKILL) }
    }
}

import Foundation
import Glibc

/// Finds the processes of a VM by its id, which stands in their command lines.
enum ProcessTable {
    /// Ids of the processes whose command line names `vm` and whose program is called `name…`; an empty name finds all.
    static func processes(of vm: String, named name: String) -> [pid_t] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return all.compactMap { pid_t($0) }.filter { id in
            guard let line = FileManager.default.contents(atPath: "/proc/\(id)/cmdline") else { return false }
            let words = String(decoding: line, as: UTF8.self).split(separator: "\0")
            guard let program = words.first?.split(separator: "/").last else { return false }
            return program.hasPrefix(name) && words.contains { $0.contains(vm) }
        }
    }

    /// SIGKILL to the QEMU of a VM.
    static func killQEMU(of vm: String) throws {
        let found = processes(of: vm, named: "qemu")
        guard !found.isEmpty else { throw HarnessError("no QEMU runs for \(vm)") }
        for id in found { _ = kill(id, SIGKILL) }
    }
}

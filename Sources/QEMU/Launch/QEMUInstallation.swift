import Glibc

/// The QEMU of this host, as found and asked.
package struct QEMUInstallation: Hashable, Sendable {
    /// The program, as an absolute path.
    package let path: String
    /// Its version, such as `7.2.22`.
    package let version: String
    /// The machine type that guests get here.
    package let machine: String

    /// Finds `program`, a name or a path, and asks it what it is.
    ///
    /// - Throws: `QEMUError.notInstalled`, `.toolFailed`, `.toolTimedOut`.
    package static func find(_ program: String, searchPath: String? = nil) async throws -> QEMUInstallation {
        guard let path = absolutePath(of: program, searchPath: searchPath) else {
            throw QEMUError.notInstalled(program: program)
        }
        let version = try await ShortTool.run(path, ["--version"], timeout: QEMUDefaults.launchTimeout)
        let machines = try await ShortTool.run(path, ["-machine", "help"], timeout: QEMUDefaults.launchTimeout)
        guard version.isSuccess, machines.isSuccess else {
            throw QEMUError.toolFailed(program: path, output: String((version.errors + machines.errors).suffix(500)))
        }
        guard let machine = bestMachine(in: machines.output) else {
            throw QEMUError.toolFailed(program: path, output: "has no pinned pc machine")
        }
        return QEMUInstallation(path: path, version: versionNumber(in: version.output), machine: machine)
    }

    /// The program as an absolute path to something executable, or nil.
    package static func absolutePath(of program: String, searchPath: String? = nil) -> String? {
        func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }
        if program.hasPrefix("/") { return isExecutable(program) ? program : nil }
        guard !program.isEmpty, !program.contains("/") else { return nil }
        let directories = searchPath ?? getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        return directories.split(separator: ":").lazy
            .filter { $0.hasPrefix("/") }.map { "\($0)/\(program)" }.first(where: isExecutable)
    }

    /// The pinned machine when it is among those of `-machine help`, else the newest of its family.
    package static func bestMachine(in help: String) -> String? {
        let names = help.split(separator: "\n").compactMap { $0.split(separator: " ").first.map(String.init) }
        if names.contains(QEMUDefaults.machine) { return QEMUDefaults.machine }
        func version(_ name: String) -> [Int] {
            name.split(separator: "-").last?.split(separator: ".").compactMap { Int($0) } ?? []
        }
        return names.filter { $0.hasPrefix("pc-i440fx-") }.max { version($0).lexicographicallyPrecedes(version($1)) }
    }

    /// The number in the answer to `--version`.
    static func versionNumber(in text: String) -> String {
        let words = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard let index = words.firstIndex(of: "version"), index + 1 < words.endIndex else { return "unknown" }
        return String(words[index + 1])
    }
}

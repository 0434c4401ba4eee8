import Glibc
import WarrenModel

/// One run of `warrend`, from the command line to the exit code.
package enum DaemonProcess {
    /// Runs the daemon, or only checks its configuration; problems go to standard error.
    package static func run(config: String?, stateDirectory: String?, onlyCheck: Bool) async -> ExitCode {
        do throws(DaemonError) {
            let environment = environment()
            let settings = try DaemonSettings.load(
                config: config ?? environment["WARREN_CONFIG"],
                stateDirectory: stateDirectory,
                paths: SystemPaths(isRoot: geteuid() == 0, environment: environment),
                workingDirectory: workingDirectory(),
                isPresent: { access($0, F_OK) == 0 }
            )
            print(settings.summary, terminator: "")
            return .success
        } catch {
            complain("warrend: \(error)")
            return error.exitCode
        }
    }

    private static func environment() -> [String: String] {
        ["HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "WARREN_CONFIG", "NOTIFY_SOCKET"].reduce(into: [:]) { result, name in
            if let value = getenv(name) { result[name] = String(cString: value) }
        }
    }

    private static func workingDirectory() -> String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }

    private static func complain(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }
}

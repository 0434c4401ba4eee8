import Glibc
import Logging
import Transport
import WarrenModel

/// One run of `warrend`, from the command line to the exit code.
package enum DaemonProcess {
    /// Runs the daemon, or only checks its configuration; problems go to standard error.
    package static func run(config: String?, stateDirectory: String?, onlyCheck: Bool) async -> ExitCode {
        let environment = environment()
        do {
            var settings = try DaemonSettings.load(
                config: config ?? environment["WARREN_CONFIG"],
                stateDirectory: stateDirectory,
                paths: SystemPaths(isRoot: geteuid() == 0, environment: environment),
                workingDirectory: workingDirectory(),
                isPresent: { access($0, F_OK) == 0 }
            )
            do throws(InvalidProxy) {
                settings.proxies = try ProxySettings(environment: environment)
            } catch { throw DaemonError.proxyUnusable(error) }
            if onlyCheck {
                print(settings.summary, terminator: "")
                return .success
            }
            // What the daemon makes is nobody else's business, unless it is opened on purpose.
            umask(0o077)
            let log = settings.configuration.log
            LoggingSystem.bootstrap { LineLogHandler(label: $0, level: log.level, format: log.format) }
            let daemon = Daemon(
                settings: settings,
                notifier: ServiceNotifier(socketPath: environment["NOTIFY_SOCKET"]),
                logger: Logger(label: "warren.daemon")
            )
            try await daemon.run()
            return .success
        } catch let error as DaemonError {
            complain("warrend: \(error)")
            return error.exitCode
        } catch {
            complain("warrend: internal error: \(error)")
            return .internalError
        }
    }

    private static func environment() -> [String: String] {
        let names = [
            "HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "WARREN_CONFIG", "NOTIFY_SOCKET", "HTTPS_PROXY", "https_proxy",
            "NO_PROXY", "no_proxy",
        ]
        return names.reduce(into: [:]) { result, name in
            if let value = getenv(name), value.pointee != 0 { result[name] = String(cString: value) }
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

package import Transport
package import WarrenModel

/// The configuration in effect, with every path resolved.
package struct DaemonSettings: Sendable, Equatable {
    /// What the file says.
    package var configuration: DaemonConfiguration
    /// The absolute path of the state directory.
    package let stateDirectory: String
    /// The absolute path of the Unix socket; nil for none.
    package let unixSocket: String?
    /// Which connections to control and relays go through a proxy; the environment says it.
    package var proxies = ProxySettings.none

    /// Resolves a configuration for a user; `stateDirectory` of the command line goes first.
    /// - Throws: `DaemonError.socketPathTooLong`.
    package init(
        configuration: DaemonConfiguration,
        stateDirectory override: String?,
        paths: SystemPaths,
        workingDirectory: String
    ) throws(DaemonError) {
        let directory = override ?? configuration.stateDirectory ?? paths.stateDirectory
        let absolute = directory.hasPrefix("/") ? directory : workingDirectory + "/" + directory
        let state = absolute.count > 1 && absolute.hasSuffix("/") ? String(absolute.dropLast()) : absolute
        self.configuration = configuration
        self.configuration.stateDirectory = state
        stateDirectory = state
        unixSocket =
            switch configuration.listen.unixSocket {
            case .automatic: paths.unixSocket(stateDirectory: state)
            case .off: nil
            case .path(let path): path
            }
        try StateDirectory.checkLength(of: state)
        let limit = StateDirectory.longestSocketPath
        if let unixSocket, unixSocket.utf8.count > limit {
            throw .socketPathTooLong(path: unixSocket, byteCount: unixSocket.utf8.count, limit: limit)
        }
    }

    /// What `--check-config` prints: the configuration in effect as YAML, and the paths that follow from it.
    package var summary: String {
        "# \(unixSocket.map { "Unix socket: \($0)" } ?? "No Unix socket")\n\(configuration.yaml)"
    }

    /// Reads the named file, or the system's, or takes the defaults.
    /// - Throws: `DaemonError.configuration`, `.socketPathTooLong`.
    package static func load(
        config: String?,
        stateDirectory: String?,
        paths: SystemPaths,
        workingDirectory: String,
        isPresent: (String) -> Bool
    ) throws(DaemonError) -> DaemonSettings {
        let file = config ?? (isPresent(SystemPaths.configurationFile) ? SystemPaths.configurationFile : nil)
        let configuration: DaemonConfiguration
        do throws(ConfigurationError) {
            configuration =
                try file.map { file throws(ConfigurationError) in try ConfigurationLoader.load(file: file) }
                ?? DaemonConfiguration()
        } catch {
            throw .configuration(error)
        }
        return try DaemonSettings(
            configuration: configuration,
            stateDirectory: stateDirectory,
            paths: paths,
            workingDirectory: workingDirectory
        )
    }
}

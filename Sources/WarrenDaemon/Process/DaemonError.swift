package import Transport

/// Why the daemon did not start.
package enum DaemonError: Error, Equatable, Sendable {
    /// The file says something impossible.
    case configuration(ConfigurationError)
    /// The environment names a proxy that is none.
    case proxyUnusable(InvalidProxy)
    /// A directory or a file of the state cannot be made or used.
    case stateUnusable(path: String, reason: String)
    /// A path is longer than a Unix socket's name may be.
    case socketPathTooLong(path: String, byteCount: Int, limit: Int)
    /// Another daemon holds the lock.
    case alreadyRunning(lock: String, holder: String)
    /// A listener cannot be opened.
    case cannotListen(address: String, reason: String)
    /// The database is newer, corrupt, or cannot be opened.
    case databaseUnusable(path: String, reason: String)
    /// The file of a TLS certificate or key cannot be used.
    case certificateUnusable(reason: String)

    /// What the process ends with.
    package var exitCode: ExitCode {
        switch self {
        case .configuration, .proxyUnusable, .databaseUnusable, .certificateUnusable: .configuration
        case .stateUnusable, .socketPathTooLong, .cannotListen: .cannotCreate
        case .alreadyRunning: .alreadyRunning
        }
    }
}

extension DaemonError: CustomStringConvertible {
    /// What went wrong and what to do, for the one who started it.
    package var description: String {
        switch self {
        case .configuration(let error): error.description
        case .proxyUnusable(let error): "\(error)"
        case .stateUnusable(let path, let reason): "\(path): \(reason)"
        case .socketPathTooLong(let path, let byteCount, let limit):
            "\(path): a socket there needs \(byteCount) octets of path, and \(limit) are possible; "
                + "choose a shorter state directory (--state-dir) or listen.unixSocket"
        case .alreadyRunning(let lock, let holder): "already running: \(lock) is held by \(holder)"
        case .cannotListen(let address, let reason): "cannot listen on \(address): \(reason)"
        case .databaseUnusable(let path, let reason): "\(path): \(reason)"
        case .certificateUnusable(let reason): "listen.tls: \(reason)"
        }
    }
}

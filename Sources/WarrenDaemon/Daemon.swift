import Glibc
import Logging
import NIOPosix
import ServiceLifecycle
import Store
import UnixSignals
import WarrenAPI
import WarrenModel

/// The daemon: takes the state directory, builds everything once, and runs it until it is told to end.
package struct Daemon: Sendable {
    // Requests under way get this long to finish; what is longer is a wait or a stream, and those end at once.
    private static let gracefulShutdown = Duration.seconds(20)
    private static let cancellation = Duration.seconds(5)

    private let settings: DaemonSettings
    private let notifier: ServiceNotifier
    private let logger: Logger

    /// A daemon that has touched nothing yet.
    init(settings: DaemonSettings, notifier: ServiceNotifier, logger: Logger) {
        self.settings = settings
        self.notifier = notifier
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT; guests go on.
    ///
    /// - Throws: `DaemonError` when it cannot start.
    func run() async throws {
        let state = try StateDirectory(creating: settings.stateDirectory)
        let lock = try DaemonLock(path: state.lock, holder: Self.holder)
        defer { withExtendedLifetime(lock) {} }
        let database = try Self.open(state)
        try await AdminToken.ensure(at: state.adminToken, in: database, now: .now, logger: logger)
        let parts: DaemonParts
        do {
            parts = try await DaemonParts(
                settings: settings,
                state: state,
                database: database,
                notifier: notifier,
                logger: logger
            )
        } catch {
            throw Self.failure(error)
        }
        logger.notice(
            "daemon starts",
            metadata: ["version": "\(DaemonVersion.text)", "state-directory": "\(state.path)"]
        )
        // Below that level the group prints every service whole, which is pages.
        var groupLogger = logger
        groupLogger.logLevel = max(logger.logLevel, .notice)
        var configuration = ServiceGroupConfiguration(
            services: parts.services,
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: groupLogger
        )
        configuration.maximumGracefulShutdownDuration = Self.gracefulShutdown
        configuration.maximumCancellationDuration = Self.cancellation
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch {
            throw Self.failure(error)
        }
        notifier.stopping()
        HTTPAddressFile(path: state.httpAddress).remove()
        // The process ends; the database has committed everything that was answered.
        try? database.close()
        logger.notice("daemon ended")
    }

    private static var holder: String { "warrend \(DaemonVersion.text), pid \(getpid()), since \(Timestamp.now)" }

    private static func open(_ state: StateDirectory) throws -> WarrenDatabase {
        do {
            return try WarrenDatabase(stateDirectory: state.path, logger: Logger(label: "warren.store"))
        } catch {
            throw DaemonError(error, state)
        }
    }

    private static func failure(_ error: any Error) -> any Error {
        switch error {
        case APIServerError.cannotListen(let address, let reason):
            DaemonError.cannotListen(address: address, reason: reason)
        case APIServerError.certificateUnusable(let reason): DaemonError.certificateUnusable(reason: reason)
        default: error
        }
    }
}

extension DaemonError {
    /// What the database says when it cannot be used.
    init(_ error: StoreError, _ state: StateDirectory) {
        switch error {
        case .newerSchema(let found, let supported):
            self = .databaseUnusable(
                path: state.database,
                reason: "was written by a newer warrend (schema \(found); this one knows up to \(supported))"
            )
        case .foreignFile(let path): self = .databaseUnusable(path: path, reason: "is not a database of Warren")
        case .corrupt(let path): self = .databaseUnusable(path: path, reason: "is damaged; nothing was changed")
        case .secretKeyMissing(let path):
            self = .databaseUnusable(path: path, reason: "is missing, while the database holds secrets sealed under it")
        case .secretKeyInvalid(let path):
            self = .databaseUnusable(path: path, reason: "is not the key that the database was sealed under")
        case .secretKeyExposed(let path):
            self = .databaseUnusable(path: path, reason: "can be read by others; make its mode 0600")
        case .diskFull: self = .stateUnusable(path: state.path, reason: "the disk is full")
        case .unwritable(let path): self = .stateUnusable(path: path, reason: "cannot be opened or written")
        case .locked: self = .stateUnusable(path: state.database, reason: "is locked by another process")
        case .cancelled: self = .stateUnusable(path: state.database, reason: "was not opened in time")
        case .failed(_, let message): self = .stateUnusable(path: state.database, reason: message)
        case .nameTaken, .notFound, .eventsTrimmed:
            self = .stateUnusable(path: state.database, reason: "could not be opened")
        }
    }
}

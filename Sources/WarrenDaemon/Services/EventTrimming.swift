import Logging
import ServiceLifecycle
import Store

/// Keeps the log of events at a bounded length.
struct EventTrimming: Service {
    // About 50 MiB of rows; a reader that is further behind is told with 410 and begins anew.
    private static let keptEvents = 100_000
    private static let interval = Duration.seconds(3600)

    /// Where the log is.
    let database: WarrenDatabase
    /// Hears when it did not work.
    let logger: Logger

    /// Works until graceful shutdown.
    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await database.trimEvents(keeping: Self.keptEvents)
                } catch {
                    logger.warning("events not trimmed", metadata: ["error": "\(error)"])
                }
                // Cancelled when the daemon ends, which the loop then sees.
                try? await Task.sleep(for: Self.interval)
            }
        }
    }
}

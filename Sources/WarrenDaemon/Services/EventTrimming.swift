import Logging
import ServiceLifecycle
import Store
import WarrenAPI

/// Keeps events, deliveries that are over and deleted VMs from filling the disk.
struct EventTrimming: Service {
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
                    try await database.forgetOldRows(now: .now)
                } catch {
                    logger.warning("old rows not forgotten", metadata: ["error": "\(error)"])
                }
                // Cancelled when the daemon ends, which the loop then sees.
                try? await Task.sleep(for: Self.interval)
            }
        }
    }
}

import Hummingbird
import NIOCore
import ServiceLifecycle
import Store
import WarrenModel

/// Events as server-sent events, as they happen.
struct EventStream: Sendable {
    /// How many events are read at once.
    static let batch = 100
    // Proxies commonly cut a connection that was silent for 30 or 60 seconds.
    private static let heartbeat = Duration.seconds(15)

    /// Where the log is.
    let database: WarrenDatabase
    /// Which events are written.
    let filter: EventFilter
    /// Whether login URLs are shown while they are good.
    let revealsLoginURLs: Bool

    /// Writes until the client goes or the daemon ends.
    @concurrent
    func write(_ first: EventPage, to writer: inout any ResponseBodyWriter) async throws {
        var page = first
        // A comment at once: the client sees that the stream is open.
        try await writer.write(ByteBuffer(string: ": open\n\n"))
        while true {
            for record in page.records {
                try await writer.write(try Self.text(revealsLoginURLs ? record.revealed : record.event))
            }
            if !page.hasMore, await !hasNews(after: page.position) {
                guard !Task.isCancelled, !Task.isShuttingDownGracefully else { return }
                try await writer.write(ByteBuffer(string: ": alive\n\n"))
            }
            page = try await database.events(after: page.position, filter: filter, limit: Self.batch)
        }
    }

    /// Returns at the next event with true; with false after a while, or at once when the daemon ends.
    private func hasNews(after position: Int64) async -> Bool {
        let database = database
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await cancelWhenGracefulShutdown { await database.waitForEvents(after: position) } > position
            }
            group.addTask {
                // Cancelled by the event; there is nothing to be thrown but that.
                try? await Task.sleep(for: Self.heartbeat)
                return false
            }
            let hasNews = await group.next() ?? false
            group.cancelAll()
            return hasNews
        }
    }

    private static func text(_ event: Event) throws -> ByteBuffer {
        let json = try ModelJSON.text(event)
        return ByteBuffer(string: "id: \(event.seq)\nevent: \(event.type.rawValue)\ndata: \(json)\n\n")
    }
}

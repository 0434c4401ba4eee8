import Disco
import NIOCore
import NetTypes

/// The disco pings that somebody waits for; confined to the node's event loop.
struct PathQueries {
    /// One request, answered by the first pong to any of its pings.
    final class Query {
        let peer: MagicPeer
        let promise: EventLoopPromise<PathPing>
        var transactions: [TransactionID] = []

        init(peer: MagicPeer, promise: EventLoopPromise<PathPing>) {
            self.peer = peer
            self.promise = promise
        }
    }

    private struct Sent {
        var query: Query
        var way: PathPing.Way
        var at: MonotonicTime
    }

    private var sent: [TransactionID: Sent] = [:]
    private var open: [ObjectIdentifier: Query] = [:]

    /// Takes up a request.
    mutating func begin(_ query: Query) { open[ObjectIdentifier(query)] = query }

    /// Whether the request still waits.
    func isOpen(_ query: Query) -> Bool { open[ObjectIdentifier(query)] != nil }

    /// Notes a ping that was sent for a request.
    mutating func note(_ transaction: TransactionID, by way: PathPing.Way, at now: MonotonicTime, for query: Query) {
        query.transactions.append(transaction)
        sent[transaction] = Sent(query: query, way: way, at: now)
    }

    /// Takes a pong of one of `peers`; one that nobody waits for, or by another way than its ping, is ignored.
    mutating func answer(
        _ transaction: TransactionID,
        byRelay isRelayed: Bool,
        from peers: [MagicPeer],
        at now: MonotonicTime
    ) {
        guard let ping = sent[transaction], peers.contains(where: { $0 === ping.query.peer }) else { return }
        switch ping.way {
        case .direct where isRelayed: return
        case .relay where !isRelayed: return
        case .direct, .relay: break
        }
        end(ping.query)
        ping.query.promise.succeed(PathPing(way: ping.way, latency: max(now - ping.at, .nanoseconds(1))))
    }

    /// Gives a request up.
    mutating func fail(_ query: Query, _ error: PathPingError) {
        guard isOpen(query) else { return }
        end(query)
        query.promise.fail(error)
    }

    /// Gives everything up.
    mutating func failAll() {
        for query in open.values { fail(query, .closed) }
    }

    private mutating func end(_ query: Query) {
        open[ObjectIdentifier(query)] = nil
        for transaction in query.transactions { sent[transaction] = nil }
    }
}

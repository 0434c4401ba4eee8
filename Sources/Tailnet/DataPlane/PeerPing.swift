import NIOCore
package import NetTypes
package import Tailcfg

/// By which means a peer is asked for a sign of life.
package enum PingKind: String, CaseIterable, Sendable {
    /// By the paths' own messages, outside of the tunnel.
    case disco
    /// Through the tunnel, answered by the peer's node itself.
    case tsmp
    /// Through the tunnel, answered by the peer's network stack and subject to its packet filter.
    case icmp
}

/// What came back to a ping.
package struct PingOutcome: Hashable, Sendable {
    /// Who answered.
    package var peer: NodeID
    /// The address that was asked.
    package var address: IPAddress
    /// The time from question to answer.
    package var latency: Duration
    /// The address that the answer came from directly; nil when a relay carried it.
    package var endpoint: AddressPort?
    /// The code of the relay region that carried it; nil when it came directly.
    package var relay: String?
}

/// Why a ping has no answer.
package enum PingError: Error, Hashable, Sendable {
    /// No peer is responsible for the address.
    case noSuchPeer
    /// The node has no address of the family.
    case noOwnAddress
    /// The peer does not speak disco.
    case noDisco
    /// Too many pings wait for their answers.
    case tooMany
    /// Nothing came back in time.
    case timedOut
    /// The node stopped meanwhile.
    case stopped
}

/// The pings through the tunnel that wait for their answers; confined to the node's event loop.
struct PingBook {
    /// A question that was asked.
    struct Entry {
        let peer: NodeID
        let address: IPAddress
        let sentAt: MonotonicTime
        let promise: EventLoopPromise<PingOutcome>
    }

    /// More than people and programs ask for at a time, and little memory.
    static let limit = 64
    /// Two handshakes may be lost before an answer is hopeless.
    static let patience = Duration.seconds(10)

    private var entries: [UInt64: Entry] = [:]

    /// Whether nothing is waited for.
    var isEmpty: Bool { entries.isEmpty }
    /// Whether another question may be asked.
    var isFull: Bool { entries.count >= Self.limit }
    /// When the oldest question has waited long enough.
    var deadline: MonotonicTime? { entries.values.map(\.sentAt).min().map { $0 + Self.patience } }

    /// Remembers a question by the octets that its answer will bear.
    mutating func insert(_ entry: Entry, token: UInt64) { entries[token] = entry }

    /// Takes out the question with this token, if it was put to this peer.
    mutating func take(_ token: UInt64, from peer: NodeID) -> Entry? {
        guard let entry = entries[token], entry.peer == peer else { return nil }
        entries[token] = nil
        return entry
    }

    /// Takes out what has waited long enough.
    mutating func takeOverdue(at now: MonotonicTime) -> [Entry] {
        let overdue = entries.filter { now - $0.value.sentAt >= Self.patience }
        for token in overdue.keys { entries[token] = nil }
        return Array(overdue.values)
    }

    /// Takes out everything.
    mutating func takeAll() -> [Entry] {
        defer { entries = [:] }
        return Array(entries.values)
    }
}

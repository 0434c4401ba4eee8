package import Tailcfg
import WarrenCrypto

/// The number of a map stream; a later stream of a node has a higher one.
package struct MapStreamID: Hashable, Comparable, Sendable {
    let rawValue: UInt64

    /// Earlier before later.
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// A map stream as its writer holds it.
package struct MapSubscription: Sendable {
    /// The stream.
    package let id: MapStreamID
    /// Says that there may be something to fetch; one element stands for any number of events.
    package let wakeups: AsyncStream<Void>
    /// Ends `wakeups`, for when the client is gone.
    package let cancel: @Sendable () -> Void
}

/// What the writer of a map stream does next.
package enum MapStreamWork: Sendable {
    /// Write these, then wait.
    case write([MapResponse])
    /// Write a keep-alive, then wait.
    case keepAlive
    /// Write these, then end the response.
    case end([MapResponse])
    /// Wait.
    case wait
}

/// A map stream as the registry holds it; confined to the registry.
final class MapStream {
    let id: MapStreamID
    let nodeID: NodeID
    let nodeKey: NodePublicKey
    let wantsKeepAlive: Bool
    let wakeup: AsyncStream<Void>.Continuation
    /// Resets the stream when its writer is stuck.
    let reset: @Sendable () -> Void
    var delta = PendingDelta()
    var sentProfiles: Set<UserID> = []
    /// The peers that the client knows; nil under a policy by which it knows all.
    var known: Set<NodeID>?
    /// The filter that the client has.
    var sentFilter: [FilterRule] = []
    /// Set once the stream is to end; holds what is said before.
    var farewell: [MapResponse]?
    /// When the next keep-alive is due.
    var keepAliveDue: ControlTime
    /// Since when a write has been under way.
    var writingSince: ControlTime?
    /// Whether the stream is to be woken with the next beat.
    var isStirred = false
    /// What is to be asked of the client.
    var questions: [PingRequest] = []

    init(
        id: MapStreamID,
        nodeID: NodeID,
        nodeKey: NodePublicKey,
        wantsKeepAlive: Bool,
        wakeup: AsyncStream<Void>.Continuation,
        reset: @escaping @Sendable () -> Void,
        keepAliveDue: ControlTime
    ) {
        self.id = id
        self.nodeID = nodeID
        self.nodeKey = nodeKey
        self.wantsKeepAlive = wantsKeepAlive
        self.wakeup = wakeup
        self.reset = reset
        self.keepAliveDue = keepAliveDue
    }

    /// The messages that ask what is to be asked; for the rest they are keep-alives, so that nothing is rebuilt.
    func takeQuestions() -> [MapResponse] {
        defer { questions = [] }
        return questions.map { question in
            var message = MapResponse()
            message.keepAlive = true
            message.pingRequest = question
            return message
        }
    }
}

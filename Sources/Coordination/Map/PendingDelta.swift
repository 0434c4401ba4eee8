package import Tailcfg

/// What a stream has yet to hear, kept as marks and not as messages: whatever happens, it stays as small as the tailnet.
package struct PendingDelta: Sendable {
    /// Everything, as in the first message.
    package private(set) var isFull = true
    /// The own node.
    package private(set) var ownNode = false
    /// The relays.
    package private(set) var derpMap = false
    /// What the policy gives the own node: its peers and its filter.
    package private(set) var rules = false
    /// The DNS settings.
    package private(set) var dns = false
    private var peers: [NodeID: PeerMark] = [:]

    private enum PeerMark {
        case whole
        case patch(NodeChange)
        case removed
    }

    /// The marks of a new stream.
    package init() {}

    /// Whether there is nothing to say.
    package var isEmpty: Bool { !isFull && !ownNode && !derpMap && !rules && !dns && peers.isEmpty }

    /// Whether peers come, go, or are told whole.
    package var concernsPeers: Bool {
        peers.values.contains { if case .patch = $0 { false } else { true } }
    }

    /// Peers to send whole.
    package var wholePeers: [NodeID] {
        peers.compactMap { if case .whole = $0.value { $0.key } else { nil } }.sorted()
    }

    /// Peers to remove.
    package var removedPeers: [NodeID] {
        peers.compactMap { if case .removed = $0.value { $0.key } else { nil } }.sorted()
    }

    /// Peers to patch.
    package var patches: [(id: NodeID, change: NodeChange)] {
        peers.compactMap { if case .patch(let change) = $0.value { ($0.key, change) } else { nil } }
            .sorted { $0.id < $1.id }
    }

    /// Notes a change of a peer; what a later whole node says anyway is not said twice.
    package mutating func mark(_ id: NodeID, _ change: NodeChange) {
        guard !isFull else { return }
        switch (peers[id], change.contains(.whole)) {
        case (.whole, _): break
        case (.removed, _), (_, true): peers[id] = .whole
        case (.patch(let earlier), false): peers[id] = .patch(earlier.union(change))
        case (nil, false): peers[id] = .patch(change)
        }
    }

    /// Notes that a peer is gone.
    package mutating func markRemoved(_ id: NodeID) {
        if !isFull { peers[id] = .removed }
    }

    /// Notes that the own node changed.
    package mutating func markOwnNode() {
        if !isFull { ownNode = true }
    }

    /// Notes that the relays changed.
    package mutating func markDERPMap() {
        if !isFull { derpMap = true }
    }

    /// Notes that the policy may give the own node other peers or another filter.
    package mutating func markRules() {
        if !isFull { rules = true }
    }

    /// Notes that the DNS settings changed.
    package mutating func markDNS() {
        if !isFull { dns = true }
    }

    /// Forgets everything, because it is being said.
    package mutating func clear() {
        isFull = false
        ownNode = false
        derpMap = false
        rules = false
        dns = false
        peers = [:]
    }
}

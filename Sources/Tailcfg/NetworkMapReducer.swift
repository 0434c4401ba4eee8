/// Why a map stream cannot go on.
package enum NetworkMapError: Error, Equatable, Sendable {
    /// The first message that was no keep-alive had no `Node`.
    case firstMessageWithoutNode
}

/// What a message changed, so that a reader need not compare whole maps.
package struct NetworkMapChange: Hashable, Sendable {
    /// What became of one peer; nil stands for not being there.
    package struct Peer: Hashable, Sendable {
        /// The peer before the message.
        package var before: Node?
        /// The peer after it.
        package var after: Node?
    }

    /// Whether the own node is another than before.
    package var selfNode = false
    /// Whether the whole peer set was replaced; `peers` says nothing then.
    package var allPeers = false
    /// Peers that were added, touched or removed.
    package var peers: [NodeID: Peer] = [:]
    /// Whether the relays are others than before.
    package var derpMap = false
    /// Whether the resolver's configuration is another than before.
    package var dnsConfig = false
    /// Whether the packet filter was touched.
    package var packetFilter = false
    /// Whether messages for the user were touched.
    package var messages = false

    /// Nothing.
    package init() {}

    /// Notes what became of a peer, which a message may touch more than once.
    fileprivate mutating func note(_ id: NodeID, before: Node?, after: Node?) {
        if peers[id] == nil { peers[id] = Peer(before: before, after: after) } else { peers[id]?.after = after }
    }
}

/// Merges the messages of map streams into a `NetworkMap` (`TAILSCALE-NODE` 1.9.1).
package struct NetworkMapReducer: Sendable {
    /// How many peers a map holds, far more than any tailnet shows one node: some 40 MiB when they are packed.
    package static let peerLimit = 100_000
    /// How many named filters, messages and user profiles it holds.
    package static let entryLimit = 10_000

    /// The state so far; nil before the first message ever.
    package private(set) var map: NetworkMap?
    /// How far the session was followed that a new stream may go on with; nil when the server does not resume.
    package private(set) var session: MapSession?
    private var isAtStart = true

    /// A reducer at the start of a stream.
    package init() {}

    /// Begins with another stream: until its first message the map stays what it was, and that replaces everything, unless the
    /// server goes on with `session`.
    package mutating func startStream() { isAtStart = true }

    /// Lets no stream go on with what went before.
    package mutating func forgetSession() { session = nil }

    /// Follows the numbers of a session, and notices a stream that goes on with the last one.
    private mutating func followSession(_ response: MapResponse) {
        if isAtStart, let session, map != nil, response.mapSessionHandle == session.handle {
            isAtStart = false
        } else if isAtStart, response.node != nil || !response.mapSessionHandle.isEmpty {
            session = MapSession(handle: response.mapSessionHandle, sequence: response.sequence)
        }
        if !isAtStart, response.sequence > 0 { session?.sequence = response.sequence }
    }

    /// Takes in one message.
    ///
    /// - Parameters:
    ///   - response: The message.
    ///   - now: Our clock.
    /// - Returns: What changed; nil for a keep-alive.
    /// - Throws: `firstMessageWithoutNode`.
    package mutating func apply(
        _ response: MapResponse,
        now: ControlTime
    ) throws(NetworkMapError) -> NetworkMapChange? {
        followSession(response)
        if response.keepAlive {
            if var current = map.take() {
                Self.setClock(response, in: &current, now: now)
                map = current
            }
            return nil
        }
        var change = NetworkMapChange()
        // Taken out, so that the dictionaries below are changed in place.
        var next: NetworkMap
        if !isAtStart, let current = map.take() {
            next = current
        } else {
            guard let node = response.node else { throw .firstMessageWithoutNode }
            next = NetworkMap(selfNode: node)
            change.allPeers = true
            isAtStart = false
        }
        if var node = response.node {
            node.normalize()
            change.selfNode = change.allPeers || node != next.selfNode
            next.selfNode = node
        }
        Self.applyPeers(response, to: &next, change: &change, now: now)
        Self.applyFilters(response, to: &next, change: &change)
        Self.applyMessages(response, to: &next, change: &change)
        if let derpMap = response.derpMap {
            var merged = next.derpMap ?? DERPMap()
            merged.merge(derpMap)
            change.derpMap = merged != next.derpMap
            next.derpMap = merged
        }
        if let dnsConfig = response.dnsConfig {
            change.dnsConfig = dnsConfig != next.dnsConfig
            next.dnsConfig = dnsConfig
        }
        for profile in response.userProfiles
        where next.userProfiles.count < Self.entryLimit || next.userProfiles[profile.id] != nil {
            next.userProfiles[profile.id] = profile
        }
        if !response.domain.isEmpty { next.domain = response.domain }
        if !response.domainDataPlaneAuditLogID.isEmpty {
            next.domainDataPlaneAuditLogID = response.domainDataPlaneAuditLogID
        }
        if let collectServices = response.collectServices { next.collectServices = collectServices }
        if let sshPolicy = response.sshPolicy { next.sshPolicy = sshPolicy }
        if let tailnetLock = response.tailnetLock { next.tailnetLock = !tailnetLock.disabled }
        Self.setClock(response, in: &next, now: now)
        map = next
        return change
    }

    private static func setClock(_ response: MapResponse, in map: inout NetworkMap, now: ControlTime) {
        guard let controlTime = response.controlTime, !controlTime.isZero else { return }
        let offset = controlTime.seconds - now.seconds
        map.controlClockOffsetSeconds = abs(offset) > 60 ? offset : 0
    }

    private static func applyPeers(
        _ response: MapResponse,
        to map: inout NetworkMap,
        change: inout NetworkMapChange,
        now: ControlTime
    ) {
        guard response.peers.isEmpty else {
            replacePeers(response.peers, in: &map, change: &change)
            return
        }
        for id in response.peersRemoved {
            if let node = map.peers.removeValue(forKey: id) { change.note(id, before: node, after: nil) }
        }
        // A stream lives for days: a server that never stops adding must not fill the memory. What is too much is left out.
        for var node in response.peersChanged {
            let before = map.peers[node.id]
            guard before != nil || map.peers.count < peerLimit else { continue }
            node.normalize()
            map.peers[node.id] = node
            change.note(node.id, before: before, after: node)
        }
        for (id, seen) in response.peerSeenChange {
            edit(id, in: &map, &change) { $0.lastSeen = seen ? now : nil }
        }
        for (id, online) in response.onlineChange {
            edit(id, in: &map, &change) { $0.online = online }
        }
        for patch in response.peersChangedPatch {
            edit(patch.nodeID, in: &map, &change) { patch.apply(to: &$0) }
        }
    }

    private static func edit(
        _ id: NodeID,
        in map: inout NetworkMap,
        _ change: inout NetworkMapChange,
        _ body: (inout Node) -> Void
    ) {
        guard let before = map.peers[id] else { return }
        var node = before
        body(&node)
        map.peers[id] = node
        change.note(id, before: before, after: node)
    }

    private static func replacePeers(_ peers: [Node], in map: inout NetworkMap, change: inout NetworkMapChange) {
        map.peers = PeerTable()
        map.peers.reserveCapacity(min(peers.count, peerLimit))
        for var node in peers.prefix(peerLimit) {
            node.normalize()
            map.peers[node.id] = node
        }
        change.allPeers = true
    }

    private static func applyFilters(
        _ response: MapResponse,
        to map: inout NetworkMap,
        change: inout NetworkMapChange
    ) {
        if let rules = response.packetFilter {
            map.packetFilters["base"] = rules
            change.packetFilter = true
        }
        guard !response.packetFilters.isEmpty else { return }
        change.packetFilter = true
        if case .some(.none) = response.packetFilters["*"] { map.packetFilters = [:] }
        for (name, rules) in response.packetFilters where name != "*" || rules != nil {
            guard rules == nil || map.packetFilters.count < entryLimit || map.packetFilters[name] != nil else {
                continue
            }
            map.packetFilters[name] = rules
        }
    }

    private static func applyMessages(
        _ response: MapResponse,
        to map: inout NetworkMap,
        change: inout NetworkMapChange
    ) {
        if let health = response.health {
            map.health = health
            change.messages = true
        }
        guard !response.displayMessages.isEmpty else { return }
        change.messages = true
        if case .some(.none) = response.displayMessages["*"] { map.displayMessages = [:] }
        for (id, message) in response.displayMessages where id != "*" || message != nil {
            guard message == nil || map.displayMessages.count < entryLimit || map.displayMessages[id] != nil else {
                continue
            }
            map.displayMessages[id] = message
        }
    }
}

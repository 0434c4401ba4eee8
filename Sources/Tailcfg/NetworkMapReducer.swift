/// Why a map stream cannot go on.
package enum NetworkMapError: Error, Equatable, Sendable {
    /// The first message that was no keep-alive had no `Node`.
    case firstMessageWithoutNode
}

/// What a message changed, so that a reader need not compare whole maps.
package struct NetworkMapChange: Hashable, Sendable {
    /// Whether the own node was sent.
    package var selfNode = false
    /// Whether the whole peer set was replaced.
    package var allPeers = false
    /// Peers that were added or touched.
    package var changedPeers: Set<NodeID> = []
    /// Peers that are gone, with the keys they had.
    package var removedPeers: [Node] = []
    /// Whether the relays were sent.
    package var derpMap = false
    /// Whether the resolver's configuration was sent.
    package var dnsConfig = false
    /// Whether the packet filter was touched.
    package var packetFilter = false
    /// Whether messages for the user were touched.
    package var messages = false

    /// Nothing.
    package init() {}
}

/// Merges the messages of one map stream into a `NetworkMap` (`TAILSCALE-NODE` 1.9.1); a new stream needs a new reducer.
package struct NetworkMapReducer: Sendable {
    /// How many peers a map holds, far more than any tailnet shows one node: some 50 MiB beside their strings.
    package static let peerLimit = 100_000
    /// How many named filters, messages and user profiles it holds.
    package static let entryLimit = 10_000

    /// The state so far; nil before the first message.
    package private(set) var map: NetworkMap?

    /// A reducer at the start of a stream.
    package init() {}

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
        if let current = map.take() {
            next = current
        } else {
            guard let node = response.node else { throw .firstMessageWithoutNode }
            next = NetworkMap(selfNode: node)
        }
        if var node = response.node {
            node.normalize()
            next.selfNode = node
            change.selfNode = true
        }
        Self.applyPeers(response, to: &next, change: &change, now: now)
        Self.applyFilters(response, to: &next, change: &change)
        Self.applyMessages(response, to: &next, change: &change)
        if let derpMap = response.derpMap {
            var merged = next.derpMap ?? DERPMap()
            merged.merge(derpMap)
            next.derpMap = merged
            change.derpMap = true
        }
        if let dnsConfig = response.dnsConfig {
            next.dnsConfig = dnsConfig
            change.dnsConfig = true
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
            if let node = map.peers.removeValue(forKey: id) { change.removedPeers.append(node) }
        }
        // A stream lives for days: a server that never stops adding must not fill the memory. What is too much is left out.
        for var node in response.peersChanged where map.peers.count < peerLimit || map.peers[node.id] != nil {
            node.normalize()
            map.peers[node.id] = node
            change.changedPeers.insert(node.id)
        }
        for (id, seen) in response.peerSeenChange where map.peers[id] != nil {
            map.peers[id]?.lastSeen = seen ? now : nil
            change.changedPeers.insert(id)
        }
        for (id, online) in response.onlineChange where map.peers[id] != nil {
            map.peers[id]?.online = online
            change.changedPeers.insert(id)
        }
        for patch in response.peersChangedPatch {
            guard var node = map.peers[patch.nodeID] else { continue }
            patch.apply(to: &node)
            map.peers[patch.nodeID] = node
            change.changedPeers.insert(patch.nodeID)
        }
        change.removedPeers.removeAll { change.changedPeers.contains($0.id) }
    }

    private static func replacePeers(_ peers: [Node], in map: inout NetworkMap, change: inout NetworkMapChange) {
        let previous = map.peers
        map.peers = [:]
        map.peers.reserveCapacity(min(peers.count, peerLimit))
        for var node in peers.prefix(peerLimit) {
            node.normalize()
            map.peers[node.id] = node
        }
        change.allPeers = true
        change.changedPeers = Set(map.peers.keys)
        for (id, node) in previous where map.peers[id] == nil { change.removedPeers.append(node) }
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

package import NetTypes

/// What the user wants of other nodes' routes.
package struct RoutePreferences: Hashable, Sendable {
    /// Whether subnet routes of peers are used.
    package var acceptRoutes: Bool
    /// The exit node in use.
    package var exitNode: ExitNode

    /// Joins the two wishes.
    package init(acceptRoutes: Bool = false, exitNode: ExitNode = .none) {
        self.acceptRoutes = acceptRoutes
        self.exitNode = exitNode
    }

    /// Which exit node was chosen.
    package enum ExitNode: Hashable, Sendable {
        /// None: destinations without route are not ours.
        case none
        /// This one; nil when the chosen node is not in the map.
        case selected(NodeID?)

        /// The chosen node, if there is one in the map.
        package var id: NodeID? {
            if case .selected(let id) = self { id } else { nil }
        }
    }
}

/// Which peer gets which destination: longest prefix over what the peers' routes come to.
///
/// Kept up peer by peer, so that a change costs what it changes. Look-ups here are for questions aside; packets ask the
/// trie of the WireGuard device, which holds `ownedPrefixes(of:)`.
package struct RouteTable: Hashable, Sendable {
    /// What the user wants.
    package let preferences: RoutePreferences
    /// Whether the chosen exit node is there and serves.
    package private(set) var exitNodeServes = false
    private var routers: [NodeID: Router] = [:]
    /// The peers of each prefix that more than one has, the one that is used first.
    private var contests: [IPPrefix: [NodeID]] = [:]
    /// The one peer of each other prefix.
    private var owners: [IPPrefix: NodeID] = [:]

    private struct Router: Hashable {
        var prefixes: [IPPrefix]
        /// False only where control says so: most servers say nothing.
        var isOnline: Bool
    }

    /// A table without peers.
    package init(preferences: RoutePreferences) { self.preferences = preferences }

    /// Computes the table.
    ///
    /// - Parameters:
    ///   - peers: Normalised nodes.
    ///   - preferences: The user's wishes.
    ///   - now: The clock corrected by control's.
    package init(peers: some Sequence<Node>, preferences: RoutePreferences, now: ControlTime) {
        self.init(preferences: preferences)
        for peer in peers { update(peer, now: now) }
    }

    /// The effective prefixes of each peer that has any, sorted.
    package var effectiveAllowedIPs: [NodeID: [IPPrefix]] { routers.mapValues(\.prefixes) }

    /// Whether an exit node was chosen that cannot serve, so that internet destinations must go nowhere.
    package var blackholesInternet: Bool { preferences.exitNode != .none && !exitNodeServes }

    /// The effective prefixes of a peer, sorted: from where its packets may come; nil when it contributes nothing.
    package func prefixes(of peer: NodeID) -> [IPPrefix]? { routers[peer]?.prefixes }

    /// The prefixes whose packets go to this peer: its effective ones without those that another router has in use.
    package func ownedPrefixes(of peer: NodeID) -> [IPPrefix] {
        guard let prefixes = routers[peer]?.prefixes else { return [] }
        // Nearly always all of them: no copy is made then.
        guard !contests.isEmpty, prefixes.contains(where: { owner(of: $0) != peer }) else { return prefixes }
        return prefixes.filter { owner(of: $0) == peer }
    }

    /// The peer that packets to `destination` go to; nil when there is no route.
    package func peer(for destination: IPAddress) -> NodeID? {
        for length in stride(from: destination.bitWidth, through: 0, by: -1) {
            if let prefix = IPPrefix(destination, length: length)?.masked, let owner = owner(of: prefix) {
                return owner
            }
        }
        return nil
    }

    /// Takes a peer as it is now.
    ///
    /// - Returns: The other peers whose owned prefixes changed with it.
    @discardableResult
    package mutating func update(_ peer: Node, now: ControlTime) -> Set<NodeID> {
        guard !peer.isExpired(at: now), !peer.isUnreachable else { return remove(peer.id) }
        let isExitNode = preferences.exitNode == .selected(peer.id) && peer.isExitNodeCandidate
        let prefixes = Self.effective(peer, acceptRoutes: preferences.acceptRoutes, isExitNode: isExitNode)
        if preferences.exitNode == .selected(peer.id) { exitNodeServes = isExitNode }
        guard !prefixes.isEmpty else { return remove(peer.id) }
        let router = Router(prefixes: prefixes, isOnline: peer.online != false)
        let previous = routers[peer.id]
        guard router != previous else { return [] }
        routers[peer.id] = router
        var touched: Set<NodeID> = []
        if let previous, previous.prefixes != prefixes {
            for prefix in previous.prefixes where !prefixes.contains(prefix) { resign(prefix, peer.id, &touched) }
        }
        for prefix in prefixes { claim(prefix, peer.id, &touched) }
        touched.remove(peer.id)
        return touched
    }

    /// Forgets a peer.
    ///
    /// - Returns: The other peers whose owned prefixes changed with it.
    @discardableResult
    package mutating func remove(_ peer: NodeID) -> Set<NodeID> {
        if preferences.exitNode == .selected(peer) { exitNodeServes = false }
        guard let router = routers.removeValue(forKey: peer) else { return [] }
        var touched: Set<NodeID> = []
        for prefix in router.prefixes { resign(prefix, peer, &touched) }
        touched.remove(peer)
        return touched
    }

    private func owner(of prefix: IPPrefix) -> NodeID? { contests[prefix]?.first ?? owners[prefix] }

    private mutating func claim(_ prefix: IPPrefix, _ peer: NodeID, _ touched: inout Set<NodeID>) {
        if contests[prefix] == nil {
            guard let owner = owners[prefix], owner != peer else {
                owners[prefix] = peer
                return
            }
            owners[prefix] = nil
            contests[prefix] = [owner]
        }
        settle(prefix, &touched) { if !$0.contains(peer) { $0.append(peer) } }
    }

    private mutating func resign(_ prefix: IPPrefix, _ peer: NodeID, _ touched: inout Set<NodeID>) {
        guard contests[prefix] != nil else {
            if owners[prefix] == peer { owners[prefix] = nil }
            return
        }
        settle(prefix, &touched) { $0.removeAll { $0 == peer } }
    }

    /// Changes who has a prefix, and notes whose it was and whose it is when that is not the same.
    private mutating func settle(
        _ prefix: IPPrefix,
        _ touched: inout Set<NodeID>,
        _ change: (inout [NodeID]) -> Void
    ) {
        var peers = contests.removeValue(forKey: prefix) ?? []
        let before = peers.first
        change(&peers)
        peers.sort { isBetter($0, $1) }
        if let before, before != peers.first { touched.formUnion([before] + peers.prefix(1)) }
        if peers.count > 1 { contests[prefix] = peers } else { owners[prefix] = peers.first }
    }

    /// Of two routers with the same prefix the one that is not offline is used, then the one with the lower number.
    private func isBetter(_ first: NodeID, _ second: NodeID) -> Bool {
        let (isFirstOnline, isSecondOnline) = (routers[first]?.isOnline, routers[second]?.isOnline)
        guard isFirstOnline == isSecondOnline else { return isFirstOnline == true }
        return first < second
    }

    private static func effective(_ peer: Node, acceptRoutes: Bool, isExitNode: Bool) -> [IPPrefix] {
        let own = peer.addresses
        let prefixes = peer.effectiveAllowedIPs.filter { prefix in
            guard prefix == prefix.masked else { return false }
            if prefix.length == 0 { return isExitNode }
            if prefix.isSingleAddress, TailnetAddresses.contains(prefix.address) { return true }
            return acceptRoutes || own.contains(prefix)
        }
        guard prefixes.count > 1 else { return prefixes }
        let sorted = prefixes.sorted { left, right in
            if left.address.isIPv4 != right.address.isIPv4 { return left.address.isIPv4 }
            return (left.length, left.address) < (right.length, right.address)
        }
        var unique: [IPPrefix] = []
        unique.reserveCapacity(sorted.count)
        for prefix in sorted where prefix != unique.last { unique.append(prefix) }
        return unique
    }
}

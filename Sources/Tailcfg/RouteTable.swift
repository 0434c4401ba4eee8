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
package struct RouteTable: Hashable, Sendable {
    /// The effective prefixes of each peer that has any, sorted; also its inbound source check.
    package let effectiveAllowedIPs: [NodeID: [IPPrefix]]
    /// Whether an exit node was chosen that cannot serve, so that internet destinations must go nowhere.
    package let blackholesInternet: Bool
    private let levels: [Level]

    /// The prefixes of one family and length.
    private struct Level: Hashable {
        let length: Int
        let isIPv4: Bool
        var owners: [IPAddress: NodeID]
    }

    /// Computes the table.
    ///
    /// - Parameters:
    ///   - peers: Normalised nodes.
    ///   - preferences: The user's wishes.
    ///   - now: The clock corrected by control's.
    package init(peers: some Sequence<Node>, preferences: RoutePreferences, now: ControlTime) {
        var effective: [NodeID: [IPPrefix]] = [:]
        var exitNodeServes = false
        var owners: [Key: NodeID] = [:]
        for peer in peers where !peer.isExpired(at: now) && !peer.isUnreachable {
            let isExitNode = preferences.exitNode == .selected(peer.id) && peer.isExitNodeCandidate
            exitNodeServes = exitNodeServes || isExitNode
            let prefixes = Self.effective(
                peer,
                acceptRoutes: preferences.acceptRoutes,
                isExitNode: isExitNode
            )
            guard !prefixes.isEmpty else { continue }
            effective[peer.id] = prefixes
            for prefix in prefixes {
                let key = Key(length: prefix.length, address: prefix.address)
                // The same prefix of two peers goes to the lower number.
                owners[key] = min(owners[key] ?? peer.id, peer.id)
            }
        }
        effectiveAllowedIPs = effective
        blackholesInternet = preferences.exitNode != .none && !exitNodeServes
        levels = Self.levels(owners)
    }

    private struct Key: Hashable {
        let length: Int
        let address: IPAddress
    }

    private static func effective(_ peer: Node, acceptRoutes: Bool, isExitNode: Bool) -> [IPPrefix] {
        let prefixes = peer.effectiveAllowedIPs.filter { prefix in
            guard prefix == prefix.masked else { return false }
            if prefix.length == 0 { return isExitNode }
            if prefix.isSingleAddress, TailnetAddresses.contains(prefix.address) { return true }
            return acceptRoutes || peer.addresses.contains(prefix)
        }
        return Set(prefixes).sorted { left, right in
            if left.address.isIPv4 != right.address.isIPv4 { return left.address.isIPv4 }
            return (left.length, left.address) < (right.length, right.address)
        }
    }

    private static func levels(_ owners: [Key: NodeID]) -> [Level] {
        var levels: [Int: Level] = [:]
        for (key, owner) in owners {
            let index = key.length + (key.address.isIPv4 ? 0 : 1000)
            levels[index, default: Level(length: key.length, isIPv4: key.address.isIPv4, owners: [:])]
                .owners[key.address] = owner
        }
        return levels.values.sorted { $0.length > $1.length }
    }

    /// The peer that packets to `destination` go to; nil when there is no route.
    package func peer(for destination: IPAddress) -> NodeID? {
        for level in levels where level.isIPv4 == destination.isIPv4 {
            guard let prefix = IPPrefix(destination, length: level.length) else { continue }
            if let owner = level.owners[prefix.masked.address] { return owner }
        }
        return nil
    }
}

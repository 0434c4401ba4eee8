import GuestNetwork
import NetTypes
import Tailcfg
import WarrenModel

/// Translates a network map for a data plane: all of it once, and from then on what became of single peers.
///
/// In a tailnet of thousands hardly a second passes without a change of somebody; it must not cost a look at everybody.
struct NetworkTranslation: Sendable {
    /// What the data plane is to take.
    enum Step: Sendable {
        case whole(PlaneNetwork)
        case change(PlaneChange)
    }

    /// The exit node in use.
    private(set) var exitNode: ExitNodeSelection
    /// What it came to.
    private(set) var route = RoutePreferences.ExitNode.none
    private var basis: Basis?
    /// By control's clock.
    private var earliestExpiry: ControlTime?

    /// What the last whole translation rests on, and what became of it since.
    private struct Basis {
        let preferences: NodePreferences
        let exitNode: RoutePreferences.ExitNode
        let filterUsesCapabilities: Bool
        let hasExtraRecords: Bool
        var routes: RouteTable
    }

    /// A translation that goes on with the exit node of an earlier one.
    init(remembered: RememberedExitNode? = nil) {
        exitNode = ExitNodeSelection(remembered: remembered)
    }

    /// The earliest moment at which the end of somebody's key may change something, by our own clock.
    func nextExpiry(in map: NetworkMap) -> ControlTime? {
        earliestExpiry.map { $0.adding(seconds: -map.controlClockOffsetSeconds) }
    }

    /// Translates a map.
    ///
    /// - Parameters:
    ///   - map: What control says.
    ///   - change: What the last message changed of it; nil when more may be new.
    ///   - preferences: What the node's owner wishes.
    ///   - forwarding: Which resolvers may be asked.
    ///   - now: The clock corrected by control's.
    ///   - latency: The round trip to a peer, where one was measured.
    /// - Returns: What the data plane is to take.
    mutating func translate(
        _ map: NetworkMap,
        change: NetworkMapChange? = nil,
        preferences: NodePreferences,
        forwarding: DNSForwardingRule = .tailnet,
        now: ControlTime,
        latency: (NodeID) -> Duration? = { _ in nil }
    ) -> Step {
        let changed = change.flatMap { $0.isOfPeersOnly ? $0.peers : nil }
        let exitNode = exitNode.resolve(
            preferences.exitNode,
            in: map,
            changed: changed.map { $0.values.compactMap(\.after) },
            now: now,
            latency: latency
        )
        route = exitNode
        // Taken out, so that its routes are changed in place.
        if let changed, var basis = basis.take(), basis.preferences == preferences, basis.exitNode == exitNode,
            exitNode.id.map({ changed[$0] == nil }) ?? true, earliestExpiry.map({ now < $0 }) ?? true
        {
            let step = translate(changed, of: map, &basis, forwarding, now: now)
            self.basis = basis
            return .change(step)
        }
        let network = PlaneNetwork(
            map: map,
            preferences: preferences,
            exitNode: exitNode,
            forwarding: forwarding,
            now: now
        )
        basis = Basis(
            preferences: preferences,
            exitNode: exitNode,
            filterUsesCapabilities: map.packetFilter.contains { $0.sourceIPs.contains { $0.hasPrefix("cap:") } },
            hasExtraRecords: !map.dnsConfig.extraRecords.isEmpty,
            routes: network.routes
        )
        earliestExpiry = nil
        note(expiryOf: map.selfNode, now)
        for peer in map.peers.values { note(expiryOf: peer, now) }
        return .whole(network)
    }

    private mutating func translate(
        _ changed: [NodeID: NetworkMapChange.Peer],
        of map: NetworkMap,
        _ basis: inout Basis,
        _ forwarding: DNSForwardingRule,
        now: ControlTime
    ) -> PlaneChange {
        var result = PlaneChange()
        var touched = Set(changed.keys)
        for (id, peer) in changed {
            if let node = peer.after, PlaneNetwork.isUsable(node) {
                note(expiryOf: node, now)
                touched.formUnion(basis.routes.update(node, now: now))
            } else {
                touched.formUnion(basis.routes.remove(id))
            }
        }
        for id in touched.sorted() {
            let node = changed[id]?.after ?? map.peers[id]
            if let peer = node.flatMap({ PlaneNetwork.Peer($0, basis.routes) }) {
                result.peers.append(peer)
            } else {
                result.removed.append(id)
            }
        }
        if changed.values.contains(where: { $0.concernsFilter(usesCapabilities: basis.filterUsesCapabilities) }) {
            result.filterRules = PacketFilterRules(map)
        }
        let renamed = changed.values.filter(\.concernsNames)
        if !renamed.isEmpty {
            // Records of the same name as a node cannot be told from it afterwards.
            result.names =
                basis.hasExtraRecords
                ? .all(PlaneNetwork.zone(map, basis.preferences, basis.exitNode, forwarding))
                : .some(
                    leaving: renamed.compactMap { $0.before.flatMap(DNSZone.node) },
                    joining: renamed.compactMap { $0.after.flatMap(DNSZone.node) }
                )
        }
        return result
    }

    private mutating func note(expiryOf node: Node, _ now: ControlTime) {
        guard !node.keyExpiry.isZero, node.keyExpiry > now else { return }
        earliestExpiry = min(earliestExpiry ?? node.keyExpiry, node.keyExpiry)
    }
}

extension NetworkMapChange {
    /// Whether nothing changed but single peers, and what the data plane does not know of.
    fileprivate var isOfPeersOnly: Bool { !selfNode && !allPeers && !derpMap && !dnsConfig && !packetFilter }
}

extension NetworkMapChange.Peer {
    /// Whether a rule may name the peer otherwise than before.
    fileprivate func concernsFilter(usesCapabilities: Bool) -> Bool {
        if before?.unsignedPeerAPIOnly == true || after?.unsignedPeerAPIOnly == true { return true }
        guard usesCapabilities else { return false }
        return before?.capabilityMap.keys != after?.capabilityMap.keys || before?.addresses != after?.addresses
    }

    /// Whether the resolver knows the peer otherwise than before.
    fileprivate var concernsNames: Bool {
        let subdomains = "dns-subdomain-resolve"
        return before?.name != after?.name || before?.addresses != after?.addresses
            || before?.hasCapability(subdomains) != after?.hasCapability(subdomains)
    }
}

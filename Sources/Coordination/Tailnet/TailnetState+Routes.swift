import NetTypes
import Tailcfg
import WarrenModel

extension TailnetState {
    /// Sets which routes a node may serve, offered or not; both ways to the internet come together.
    mutating func approveRoutes(_ routes: [IPPrefix], of id: NodeID) {
        update(id) { $0.approvedRoutes = Self.normalized(routes) }
    }

    /// Approves what the policy approves of the routes a node offers, except those it offered `before`.
    mutating func approveByPolicy(_ id: NodeID, offeredBefore before: [IPPrefix] = []) {
        guard let node = nodes[id] else { return }
        let fresh = node.hostinfo.routableIPs.filter {
            !before.contains($0) && !node.approvedRoutes.contains($0) && $0.isServable && policy.approves($0, of: node)
        }
        if !fresh.isEmpty { approveRoutes(node.approvedRoutes + fresh, of: id) }
    }

    /// Decides anew which of several routers serves each prefix, and returns the nodes for which that changed.
    ///
    /// A router keeps a prefix as long as it is online; one that is not loses it only to another that is.
    mutating func electPrimaries(online: Set<NodeID>, now: ControlTime) -> [NodeID] {
        var candidates: [IPPrefix: [NodeID]] = [:]
        var holders: [IPPrefix: NodeID] = [:]
        var elected: [NodeID: [IPPrefix]] = [:]
        for node in nodes.values where !node.approvedRoutes.isEmpty || !node.primaryRoutes.isEmpty {
            elected[node.id] = []
            for prefix in node.primaryRoutes { holders[prefix] = node.id }
            guard node.isApproved, !node.isExpired(at: now) else { continue }
            for prefix in node.eligibleRoutes { candidates[prefix, default: []].append(node.id) }
        }
        for (prefix, ids) in candidates {
            let present = ids.filter(online.contains)
            let eligible = present.isEmpty ? ids : present
            let holder = holders[prefix].flatMap { eligible.contains($0) ? $0 : nil }
            if let winner = holder ?? eligible.min() { elected[winner, default: []].append(prefix) }
        }
        var changed: [NodeID] = []
        for (id, prefixes) in elected {
            let routes = Self.sorted(prefixes)
            guard nodes[id]?.primaryRoutes != routes else { continue }
            update(id) { $0.primaryRoutes = routes }
            changed.append(id)
        }
        return changed.sorted()
    }

    private static func normalized(_ routes: [IPPrefix]) -> [IPPrefix] {
        var routes = Set(routes.map(\.masked))
        if routes.contains(.everyIPv4) || routes.contains(.everyIPv6) {
            routes.formUnion([.everyIPv4, .everyIPv6])
        }
        return sorted(Array(routes))
    }

    private static func sorted(_ routes: [IPPrefix]) -> [IPPrefix] {
        routes.sorted { ($0.address, $0.length) < ($1.address, $1.length) }
    }
}

import NetTypes
import Tailcfg
import WarrenModel

/// Which exit node is in use: the owner's wish, made out once and held by the stable id from then on.
///
/// A name may pass to another machine, and an automatic choice that follows every flicker breaks connections: what was
/// chosen stays chosen. A node named by its owner is never replaced; while it cannot serve, internet packets go nowhere.
struct ExitNodeSelection: Hashable, Sendable {
    private var choice: ExitNodeChoice?
    private var chosen: Chosen?

    private struct Chosen: Hashable {
        let stableID: String
        let id: NodeID

        init(stableID: String, id: NodeID) {
            self.stableID = stableID
            self.id = id
        }

        init(_ node: Node) { self.init(stableID: node.stableID, id: node.id) }

        func isSame(_ node: Node) -> Bool { stableID.isEmpty ? id == node.id : stableID == node.stableID }
    }

    /// A selection that goes on with what an earlier one came to.
    init(remembered: RememberedExitNode? = nil) {
        choice = remembered?.choice
        // The number comes with the first map.
        chosen = remembered.map { Chosen(stableID: $0.stableID, id: 0) }
    }

    /// What a later selection must know to go on with this one.
    var remembered: RememberedExitNode? {
        guard let choice, !stableID.isEmpty else { return nil }
        return RememberedExitNode(choice: choice, stableID: stableID)
    }

    /// The stable id of the exit node in use, as control is told it; empty for none.
    var stableID: String { chosen?.stableID ?? "" }

    /// Makes out which peer serves.
    ///
    /// - Parameters:
    ///   - wish: What the owner wants.
    ///   - map: All that is known.
    ///   - changed: The peers that the map was not asked about yet; nil for all.
    ///   - now: The clock corrected by control's.
    ///   - latency: The round trip to a peer, where one was measured.
    /// - Returns: The node, or none; a wish that cannot be met is `.selected(nil)`.
    mutating func resolve(
        _ wish: ExitNodeChoice?,
        in map: NetworkMap,
        changed: [Node]? = nil,
        now: ControlTime,
        latency: (NodeID) -> Duration? = { _ in nil }
    ) -> RoutePreferences.ExitNode {
        var isNewWish = changed == nil
        if wish != choice {
            choice = wish
            isNewWish = true
            // An automatic choice goes on with what was used.
            if wish != .auto { chosen = nil }
        }
        guard let wish else { return .none }
        let unasked = { isNewWish ? Array(map.peers.values) : changed ?? [] }
        var current: Node?
        if let chosen {
            current =
                map.peers[chosen.id].flatMap { chosen.isSame($0) ? $0 : nil } ?? unasked().first(where: chosen.isSame)
        }
        if wish == .auto {
            let serves = current.map { Self.serves($0, at: now) } ?? false
            if !serves || current?.online == false {
                current = Self.best(of: map.peers.values, at: now, latency) ?? (serves ? current : nil)
            }
            chosen = current.map(Chosen.init) ?? chosen
        } else if chosen == nil {
            current = Self.named(wish, in: unasked(), suffix: map.magicDNSSuffix)
            chosen = current.map(Chosen.init)
        } else if let current {
            chosen = Chosen(current)
        }
        return .selected(current?.id)
    }

    private static func serves(_ node: Node, at now: ControlTime) -> Bool {
        node.isExitNodeCandidate && !node.isExpired(at: now) && !node.isUnreachable
    }

    /// Of those that are not offline one that is known to be online, then one that control suggests, then the nearest, then
    /// the one with the lowest number.
    private static func best(
        of peers: some Sequence<Node>,
        at now: ControlTime,
        _ latency: (NodeID) -> Duration?
    ) -> Node? {
        func rank(_ node: Node) -> (Int, Int, Duration, NodeID) {
            (
                node.online == true ? 0 : 1, node.hasCapability("suggest-exit-node") ? 0 : 1,
                latency(node.id) ?? .seconds(3600), node.id
            )
        }
        return peers.filter { $0.online != false && serves($0, at: now) }.min { rank($0) < rank($1) }
    }

    private static func named(_ wish: ExitNodeChoice, in peers: [Node], suffix: String) -> Node? {
        let matching: [Node]
        switch wish {
        case .auto: return nil
        case .address(let address):
            matching = peers.filter { $0.addresses.contains(IPPrefix(address)) }
        case .named(let text):
            if let same = peers.first(where: { $0.stableID == text }) { return same }
            let name = dotless(text)
            let full = suffix.isEmpty ? name : "\(name).\(suffix)"
            matching = peers.filter { [name, full].contains(dotless($0.name)) }
        }
        // Names are unique in a tailnet, but nodes shared into it bring their own.
        return matching.min { ($0.isExitNodeCandidate ? 0 : 1, $0.id) < ($1.isExitNodeCandidate ? 0 : 1, $1.id) }
    }

    private static func dotless(_ name: String) -> String {
        (name.hasSuffix(".") ? String(name.dropLast()) : name).lowercased()
    }
}

import NetTypes
import Tailcfg
import WarrenModel

/// What the owner of a node is told of the exit node in use: pure.
struct ExitNodeStatus: Equatable, Sendable {
    /// The name of the node, or nil when there is none.
    var name: String?
    /// Whether the guest reaches the internet.
    var internet = InternetAccess.blocked
    /// Why it does not although an exit node is chosen.
    var reason: StateReason?

    /// No exit node is chosen.
    static let none = ExitNodeStatus()

    private init() {}

    /// Says what a choice came to.
    ///
    /// - Parameters:
    ///   - choice: What the owner asked for.
    ///   - route: What the selection made of it.
    ///   - map: All that is known.
    ///   - now: The clock corrected by control's.
    init(_ choice: ExitNodeChoice?, _ route: RoutePreferences.ExitNode, in map: NetworkMap, now: ControlTime) {
        guard let choice, case .selected(let id) = route else { return }
        guard let node = id.flatMap({ map.peers[$0] }) else {
            reason = choice == .auto ? NodeReason.noExitNode : NodeReason.exitNodeNotFound(choice)
            return
        }
        name = node.shownName
        if !node.isExitNodeCandidate {
            reason = NodeReason.exitNodeNotOffered(node.shownName)
        } else if node.online == false || node.isExpired(at: now) || node.isUnreachable {
            // Packets to a node that is only offline still go its way, and come back as soon as it is there again.
            reason = NodeReason.exitNodeOffline(node.shownName)
        } else {
            internet = .exitNode(node.shownName)
        }
    }
}

/// Finds the peer that a person means.
enum PeerLookup {
    /// The peer with this tailnet address, this stable id, this full name, or this first label of its name, in this order.
    static func peer(_ text: String, in peers: [Node]) -> Node? {
        if let address = IPAddress(text) { return peers.first { $0.addresses.contains(IPPrefix(address)) } }
        let name = text.lowercased()
        let full = name.hasSuffix(".") ? name : name + "."
        return peers.first { !$0.stableID.isEmpty && $0.stableID == text }
            ?? peers.first { $0.name.lowercased() == full }
            ?? peers.first { $0.name.lowercased().prefix { $0 != "." } == name }
    }
}

extension Node {
    /// The name for people: without its final dot, and never empty.
    var shownName: String {
        guard !name.isEmpty else { return stableID.isEmpty ? "\(id)" : stableID }
        return name.hasSuffix(".") ? String(name.dropLast()) : name
    }
}

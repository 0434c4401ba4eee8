package import NetTypes
package import Tailcfg

/// Whom a line of the policy names.
package enum PolicySelector: Hashable, Sendable {
    /// `*`: every node; as a destination every place as well.
    case anyone
    /// The nodes of the one user: `autogroup:member`, the user's login, or a group that has it.
    case member
    /// `autogroup:tagged`: the nodes that no person owns.
    case tagged
    /// The nodes with a tag.
    case tag(String)
    /// Addresses: of nodes, or of what lies behind routers.
    case prefix(IPPrefix)
    /// `autogroup:internet`: what exit nodes reach.
    case internet
    /// `autogroup:self`: the nodes of the very user who asks.
    case ownNodes
    /// Users who have no node here.
    case nobody

    /// Whether it names a node by what the node is, or by one of its addresses.
    func names(_ node: NodeRecord) -> Bool {
        switch self {
        case .anyone: true
        case .member, .ownNodes: !node.isTagged
        case .tagged: node.isTagged
        case .tag(let tag): node.tags.contains(tag)
        case .prefix(let prefix): prefix.contains(.v4(node.ipv4)) || prefix.contains(.v6(node.ipv6))
        case .internet, .nobody: false
        }
    }
}

/// Protocols and ports that a grant opens.
package struct PortClause: Hashable, Sendable {
    /// IP protocol numbers; none = TCP, UDP and ICMP, as in a filter rule.
    package var protocols: [Int]
    /// The ports; all of them for protocols that have none.
    package var ports: PortRange

    /// Everything of the default protocols.
    package static let everything = PortClause(protocols: [], ports: .every)

    /// Joins the parts.
    package init(protocols: [Int], ports: PortRange) {
        self.protocols = protocols
        self.ports = ports
    }

    /// How a clause is written, for people.
    static let format = "*, a port, a range such as 80-90, or a protocol with them such as tcp:22, icmp:* or 47:*"

    /// Reads `*`, `22`, `80-90`, `tcp:22`, `udp:*`, `icmp:*`, `47:*`.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch parts.count {
        case 1:
            guard let ports = Self.ports(parts[0]) else { return nil }
            self.init(protocols: [], ports: ports)
        case 2:
            guard let protocols = Self.protocols(String(parts[0])), let ports = Self.ports(parts[1]),
                ports == .every || Self.havePorts(protocols)
            else { return nil }
            self.init(protocols: protocols, ports: ports)
        default: return nil
        }
    }

    /// The numbers behind a protocol's name or number.
    static func protocols(_ text: String) -> [Int]? {
        if let named = numbers[text] { return named }
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(text), (1...254).contains(number)
        else { return nil }
        return [number]
    }

    /// Whether all of the protocols have ports.
    static func havePorts(_ protocols: [Int]) -> Bool { protocols.allSatisfy([6, 17, 132].contains) }

    /// `*`, a port, or a range.
    static func ports(_ text: Substring) -> PortRange? {
        if text == "*" { return .every }
        let bounds = text.split(separator: "-", omittingEmptySubsequences: false)
        guard bounds.count <= 2, let first = port(bounds[0]), let last = bounds.count == 2 ? port(bounds[1]) : first,
            first <= last
        else { return nil }
        return PortRange(first: first, last: last)
    }

    private static func port(_ text: Substring) -> UInt16? {
        text.utf8.allSatisfy { (48...57).contains($0) } ? UInt16(text) : nil
    }

    // Names of the IANA registry, as far as Tailscale's policies know them.
    private static let numbers: [String: [Int]] = [
        "icmp": [1, 58], "igmp": [2], "ipv4": [4], "ip-in-ip": [4], "tcp": [6], "egp": [8], "igp": [9], "udp": [17],
        "gre": [47], "esp": [50], "ah": [51], "ipv6-icmp": [58], "sctp": [132],
    ]
}

package import NetTypes

/// `tailnet`: what all nodes of this host share.
package struct TailnetSection: ConfigurationSection {
    /// The address that the nodes' UDP sockets are bound to.
    package var bind = IPAddress.v4(.unspecified)
    /// The ports of the nodes' UDP sockets.
    package var udpPorts = UDPPortChoice.any
    /// Whom MagicDNS asks for names outside the tailnet.
    package var dnsForwarding = DNSForwarding.tailnet

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("bind", &bind)
        visitor.value("udpPorts", &udpPorts)
        visitor.value("dnsForwarding", &dnsForwarding)
    }
}

/// The UDP ports that nodes take, lowest free one first.
package enum UDPPortChoice: ConfigurationWord {
    /// None: nodes use no UDP, and everything goes by relay.
    case off
    /// Any free port.
    case any
    /// One of these.
    case range(ClosedRange<UInt16>)

    package static var expectation: String { "a port, a range such as \"41641-41840\", 0 or off" }
    package init?(configurationText text: String) {
        if text == "off" {
            self = .off
            return
        }
        let numbers = text.split(separator: "-", omittingEmptySubsequences: false)
        guard numbers.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }) else { return nil }
        let ports = numbers.compactMap { UInt16($0) }
        guard ports.count == numbers.count, let first = ports.first, let last = ports.last, ports.count <= 2 else {
            return nil
        }
        if ports == [0] {
            self = .any
        } else if first > 0, first <= last {
            self = .range(first...last)
        } else {
            return nil
        }
    }
    package var configurationText: String {
        switch self {
        case .off: "off"
        case .any: "0"
        case .range(let range):
            range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
        }
    }
}

/// Whom MagicDNS asks for names outside the tailnet.
package enum DNSForwarding: String, ConfigurationChoice {
    /// Resolvers inside the tailnet only: a guest without an exit node reaches nobody else.
    case tailnet
    /// The host's resolvers too.
    case host
}

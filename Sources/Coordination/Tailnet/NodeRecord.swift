package import NetTypes
package import Tailcfg
package import WarrenCrypto

/// A node as the server keeps it.
package struct NodeRecord: Hashable, Sendable, Codable {
    /// Unique for ever.
    package let id: NodeID
    /// The machine that authenticated; never changes.
    package let machineKey: MachinePublicKey
    /// The current key.
    package var nodeKey: NodePublicKey
    /// Keys it had before; they stay bound to the machine.
    package var formerNodeKeys: [NodePublicKey] = []
    /// The owner; a tagged node has the pseudo user.
    package var user: UserID
    /// Tags; not empty means that no person owns the node.
    package var tags: [String] = []
    /// The DNS label.
    package var givenName: String
    /// Whether an administrator chose the label.
    package var isNameSetByAdministrator = false
    /// Own address.
    package let ipv4: IPv4Address
    /// Own address.
    package let ipv6: IPv6Address
    /// What the node said last, network findings included.
    package var hostinfo: Hostinfo
    /// Where its peers reach it by relay.
    package var homeDERP: DERPRegionID = .none
    /// UDP candidates.
    package var endpoints: [AddressPort] = []
    /// Their types, for the server only.
    package var endpointTypes: [EndpointType] = []
    /// Zero until the node has said it; then peers learn of the node.
    package var discoKey = DiscoPublicKey.zero
    /// What its client understands.
    package var capabilityVersion: CapabilityVersion
    /// When it joined.
    package let created: ControlTime
    /// When its last stream ended.
    package var lastSeen: ControlTime
    /// When the key ends; zero = never.
    package var keyExpiry = ControlTime.zero
    /// Whether the node vanishes when it is offline.
    package var isEphemeral: Bool
    /// The key it joined with.
    package var authKeyID: String?
    /// Whether an administrator lets it take part, where devices are approved.
    package var isApproved = true
    /// Routes that it may serve, offered or not, in order.
    package var approvedRoutes: [IPPrefix] = []
    /// Subnet routes that it serves now; of several nodes with one prefix, only one does.
    package var primaryRoutes: [IPPrefix] = []
    /// Whether it had a stream when this was written.
    package var wasOnline = false

    /// The stable id: what exit node selections store.
    package var stableID: String { "n" + String(id.rawValue, radix: 36) }

    /// Whether peers may see the node: it has said by which key it is discovered, and it may take part.
    package var isVisible: Bool { !discoKey.isZero && isApproved }

    /// Whether no person owns the node.
    package var isTagged: Bool { !tags.isEmpty }

    /// Whether it forwards to the internet: both families are offered and approved.
    package var isExitNode: Bool {
        [IPPrefix.everyIPv4, .everyIPv6].allSatisfy {
            hostinfo.routableIPs.contains($0) && approvedRoutes.contains($0)
        }
    }

    /// Subnet routes that it offers and may serve.
    var eligibleRoutes: [IPPrefix] {
        approvedRoutes.filter { $0.length > 0 && hostinfo.routableIPs.contains($0) }
    }

    /// The prefixes that lead to the node: its addresses, the subnets it serves, the internet.
    package var servedPrefixes: [IPPrefix] {
        addresses + primaryRoutes + (isExitNode ? [.everyIPv4, .everyIPv6] : [])
    }

    /// Both addresses as prefixes, IPv4 first.
    package var addresses: [IPPrefix] { [IPPrefix(.v4(ipv4)), IPPrefix(.v6(ipv6))] }

    /// Whether the key has ended.
    package func isExpired(at now: ControlTime) -> Bool { !keyExpiry.isZero && keyExpiry <= now }

    /// Gives the node a new key and remembers the old one.
    mutating func replaceNodeKey(_ key: NodePublicKey) {
        guard key != nodeKey else { return }
        formerNodeKeys.append(nodeKey)
        if formerNodeKeys.count > CoordinationDefaults.maximumFormerKeys { formerNodeKeys.removeFirst() }
        nodeKey = key
    }
}

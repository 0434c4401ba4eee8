package import NetTypes
package import WarrenCrypto

/// A machine of the tailnet as control describes it: oneself or a peer.
package struct Node: Hashable, Sendable {
    /// The number that deltas name.
    package var id: NodeID
    /// The name users select exit nodes by; never reused.
    package var stableID = ""
    /// The MagicDNS name with trailing dot.
    package var name = ""
    /// The owner.
    package var user: UserID = 0
    /// Who shared the node in, 0 for nobody.
    package var sharer: UserID = 0
    /// The WireGuard and DERP identity.
    package var key = NodePublicKey.zero
    /// When `key` ends; zero = never.
    package var keyExpiry = ControlTime.zero
    /// Base64, tailnet lock only.
    package var keySignature: String?
    /// The machine's control identity.
    package var machine = MachinePublicKey.zero
    /// The discovery key; zero = not reachable by disco.
    package var discoKey = DiscoPublicKey.zero
    /// The node's own addresses, /32 and /128.
    package var addresses: [IPPrefix] = []
    /// Where packets for and from the node may go; nil = as `addresses`, empty = nowhere.
    package var allowedIPs: [IPPrefix]?
    /// UDP candidates.
    package var endpoints: [AddressPort] = []
    /// `127.3.3.40:N` of old servers; gone after normalisation.
    package var legacyDERP = ""
    /// The home region.
    package var homeDERP: DERPRegionID = .none
    /// When the node joined.
    package var created = ControlTime.zero
    /// What the node's client understands.
    package var capabilityVersion: CapabilityVersion = 0
    /// Tags, `tag:x`.
    package var tags: [String] = []
    /// The subset of `allowedIPs` that the node is the primary router of.
    package var primaryRoutes: [IPPrefix] = []
    /// When the node was last seen; nil = unknown or now.
    package var lastSeen: ControlTime?
    /// Whether the node is connected to control; nil = unknown.
    package var online: Bool?
    /// Whether an administrator has approved the machine.
    package var machineAuthorized = false
    /// Attribute names of old servers; keys of `capabilityMap` after normalisation.
    package var capabilities: [String] = []
    /// Attributes with arguments.
    package var capabilityMap: CapabilityMap = [:]
    /// Where data-plane logs of the node would go.
    package var dataPlaneAuditLogID = ""
    /// Whether the peer must get no network access (tailnet lock).
    package var unsignedPeerAPIOnly = false
    /// Whether control declares the key expired.
    package var expired = false
    /// The address our side is translated to towards this peer.
    package var selfIPv4MasqueradeAddress: IPAddress?
    /// Like its IPv4 twin.
    package var selfIPv6MasqueradeAddress: IPAddress?
    /// Whether the peer speaks plain WireGuard, without disco and DERP.
    package var isWireGuardOnly = false
    /// Whether the peer may not open connections to us.
    package var isJailed = false
    /// Resolvers to use with a WireGuard-only exit node.
    package var exitNodeDNSResolvers: [DNSResolver] = []
    /// Kept out of line, so that ten thousand peers do not each carry an inline Hostinfo.
    private var hostinfoBox: HostinfoBox?

    /// What the node says about its host; control sends an object for every peer.
    package var hostinfo: Hostinfo? {
        get { hostinfoBox?.value }
        set { hostinfoBox = newValue.map(HostinfoBox.init) }
    }

    /// A node without anything but its number.
    package init(id: NodeID) { self.id = id }
}

/// An immutable Hostinfo on the heap.
private final class HostinfoBox: Hashable, Sendable {
    let value: Hostinfo

    init(_ value: Hostinfo) { self.value = value }

    static func == (lhs: HostinfoBox, rhs: HostinfoBox) -> Bool { lhs === rhs || lhs.value == rhs.value }
    func hash(into hasher: inout Hasher) { hasher.combine(value) }
}

extension Node {
    /// The routable prefixes: `allowedIPs`, or the own addresses when control left them out.
    package var effectiveAllowedIPs: [IPPrefix] { allowedIPs ?? addresses }

    /// Whether the node offers itself as an exit node, approved.
    package var isExitNodeCandidate: Bool {
        let prefixes = effectiveAllowedIPs
        return prefixes.contains(.everyIPv4) && prefixes.contains(.everyIPv6)
    }

    /// Whether the node has no way to be reached at all: no disco key, no home region, not plain WireGuard.
    package var isUnreachable: Bool { discoKey.isZero && homeDERP.isNone && !isWireGuardOnly }

    /// Whether the key has ended, by flag or by clock; `now` is the clock corrected by control's.
    package func isExpired(at now: ControlTime) -> Bool {
        // Before January 2023 the clock is obviously wrong, and expiry by clock would cut off everyone.
        expired || (now.seconds >= 1_673_373_066 && !keyExpiry.isZero && keyExpiry <= now)
    }

    /// The first IPv4 address of the node.
    package var ipv4: IPv4Address? {
        for prefix in addresses {
            if case .v4(let address) = prefix.address, prefix.isSingleAddress { return address }
        }
        return nil
    }

    /// The first IPv6 address of the node.
    package var ipv6: IPv6Address? {
        for prefix in addresses {
            if case .v6(let address) = prefix.address, prefix.isSingleAddress { return address }
        }
        return nil
    }

    /// Whether an attribute is present, whatever its arguments.
    package func hasCapability(_ name: String) -> Bool { capabilityMap.keys.contains(name) }

    /// Brings the forms of older servers to the present one, once, after decoding.
    package mutating func normalize() {
        if !legacyDERP.isEmpty {
            if homeDERP.isNone, legacyDERP.hasPrefix("127.3.3.40:"), let region = UInt16(legacyDERP.dropFirst(11)) {
                homeDERP = DERPRegionID(rawValue: Int64(region))
            }
            legacyDERP = ""
        }
        // Assigning also lets equal lists share one buffer.
        if unsignedPeerAPIOnly || allowedIPs == nil || allowedIPs == addresses { allowedIPs = addresses }
        for name in capabilities where !capabilityMap.keys.contains(name) {
            capabilityMap.updateValue(nil, forKey: name)
        }
    }
}

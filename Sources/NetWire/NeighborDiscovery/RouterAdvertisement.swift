import NetTypes

/// How a router compares with others (RFC 4191 §2.1).
package enum RouterPreference: Equatable, Sendable {
    /// Rather than others.
    case high
    /// As any.
    case medium
    /// Only for want of others.
    case low

    /// The two bits at 3 and 4 of an octet; the reserved value counts as medium.
    init(bits: UInt8) {
        switch bits >> 3 & 3 {
        case 1: self = .high
        case 3: self = .low
        default: self = .medium
        }
    }

    /// The preference at its place in an octet.
    var bits: UInt8 {
        switch self {
        case .high: 1 << 3
        case .medium: 0
        case .low: 3 << 3
        }
    }
}

/// What a router tells the hosts of its link (RFC 4861 §4.2).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 4 | 1 | hop limit for hosts to use, 0 = unsaid |
/// | 5 | 1 | M (0x80), O (0x40), preference (0x18) |
/// | 6 | 2 | router lifetime in seconds |
/// | 8 | 4 | reachable time in milliseconds, 0 = unsaid |
/// | 12 | 4 | retransmission time in milliseconds, 0 = unsaid |
/// | 16 | … | options |
package struct RouterAdvertisement: Equatable, Sendable {
    /// The hop limit that hosts are to use; 0 leaves it to them.
    package var hopLimit: UInt8
    /// M: addresses are to be had by DHCPv6.
    package var isManaged: Bool
    /// O: other settings are to be had by DHCPv6.
    package var hasOtherConfiguration: Bool
    /// How this router compares with others.
    package var preference: RouterPreference
    /// How long it may be the default router; 0 when it is none.
    package var routerLifetimeSeconds: UInt16
    /// How long a neighbor counts as reachable; 0 leaves it to hosts.
    package var reachableMilliseconds: UInt32
    /// The pause between solicitations; 0 leaves it to hosts.
    package var retransmitMilliseconds: UInt32
    /// Everything else.
    package var options: [NeighborDiscoveryOption]

    /// An advertisement of these fields.
    package init(
        hopLimit: UInt8 = 0,
        isManaged: Bool = false,
        hasOtherConfiguration: Bool = false,
        preference: RouterPreference = .medium,
        routerLifetimeSeconds: UInt16,
        reachableMilliseconds: UInt32 = 0,
        retransmitMilliseconds: UInt32 = 0,
        options: [NeighborDiscoveryOption] = []
    ) {
        self.hopLimit = hopLimit
        self.isManaged = isManaged
        self.hasOtherConfiguration = hasOtherConfiguration
        self.preference = preference
        self.routerLifetimeSeconds = routerLifetimeSeconds
        self.reachableMilliseconds = reachableMilliseconds
        self.retransmitMilliseconds = retransmitMilliseconds
        self.options = options
    }

    /// Reads the advertisement that fills an ICMPv6 message.
    init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= 16 else { throw .truncated }
        hopLimit = bytes[4]
        isManaged = bytes[5] & 0x80 != 0
        hasOtherConfiguration = bytes[5] & 0x40 != 0
        preference = RouterPreference(bits: bytes[5])
        routerLifetimeSeconds = bytes.bigEndian(at: 6)
        reachableMilliseconds = bytes.bigEndian(at: 8)
        retransmitMilliseconds = bytes.bigEndian(at: 12)
        options = try NeighborDiscoveryOption.list(parsing: bytes.extracting(16..<bytes.count))
    }

    /// The second half of the ICMPv6 header.
    var restOfHeader: UInt32 {
        let flags = (isManaged ? 0x80 : 0) | (hasOtherConfiguration ? 0x40 : 0) | preference.bits
        return UInt32(hopLimit) << 24 | UInt32(flags) << 16 | UInt32(routerLifetimeSeconds)
    }

    func appendBody(to bytes: inout [UInt8]) {
        bytes.append(bigEndian: reachableMilliseconds)
        bytes.append(bigEndian: retransmitMilliseconds)
        for option in options { option.append(to: &bytes) }
    }
}

package import NetTypes

/// A message by which the hosts and routers of an IPv6 link find each other (RFC 4861 §4).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 4 | type 133…136, code 0, checksum |
/// | 4 | 4 | flags; of a router advertisement see there |
/// | 8 | 16 | target, of neighbor messages |
/// | 24, or 8 after a router solicitation | … | options |
package enum NeighborDiscoveryMessage: Equatable, Sendable {
    /// Asks for a `routerAdvertisement`.
    case routerSolicitation(options: [NeighborDiscoveryOption])
    /// What a router has to offer.
    case routerAdvertisement(RouterAdvertisement)
    /// Asks who has an address, or whether they are still there.
    case neighborSolicitation(target: IPv6Address, options: [NeighborDiscoveryOption])
    /// Says who has an address.
    case neighborAdvertisement(NeighborAdvertisement)

    /// Says who has an address (RFC 4861 §4.4).
    package struct NeighborAdvertisement: Equatable, Sendable {
        /// The address.
        package var target: IPv6Address
        /// Whether it is a router's.
        package var isRouter: Bool
        /// Whether this answers a solicitation.
        package var isSolicited: Bool
        /// Whether it replaces what is known.
        package var overrides: Bool
        /// Holds the hardware address.
        package var options: [NeighborDiscoveryOption]

        /// An advertisement of these fields.
        package init(
            target: IPv6Address,
            isRouter: Bool,
            isSolicited: Bool,
            overrides: Bool,
            options: [NeighborDiscoveryOption] = []
        ) {
            self.target = target
            self.isRouter = isRouter
            self.isSolicited = isSolicited
            self.overrides = overrides
            self.options = options
        }
    }

    /// Messages come with this hop limit, which none has that crossed a router.
    package static let hopLimit: UInt8 = 255

    /// Whether an ICMPv6 type belongs to Neighbor Discovery; 137 is the redirect, which is not read here.
    @inlinable
    package static func isMessage(icmpType: UInt8) -> Bool { (133...137).contains(icmpType) }

    /// Reads the message that fills `bytes` and came under `header`, by the rules of RFC 4861 §6.1 and §7.1.
    ///
    /// - Throws: `.truncated`, `.badChecksum`, `.badLength`, `.unsupported` for another type, `.malformed` for what the
    ///   RFC wants discarded: a hop limit below 255, another code, addresses and options that exclude each other.
    package init(parsing bytes: Span<UInt8>, in header: IPv6Header) throws(WireError) {
        let message = try ICMPv6Message(parsing: bytes, in: header)
        guard header.hopLimit == Self.hopLimit, message.code == 0 else { throw .malformed }
        switch message.kind {
        case .routerSolicitation:
            let options = try NeighborDiscoveryOption.list(parsing: bytes.extracting(8..<bytes.count))
            guard !header.source.isUnspecified || !Self.hasSource(options) else { throw .malformed }
            self = .routerSolicitation(options: options)
        case .routerAdvertisement:
            guard header.source.isLinkLocal else { throw .malformed }
            self = .routerAdvertisement(try RouterAdvertisement(parsing: bytes))
        case .neighborSolicitation:
            let (target, options) = try Self.neighbor(bytes)
            if header.source.isUnspecified {
                guard header.destination == target.solicitedNode, !Self.hasSource(options) else { throw .malformed }
            }
            self = .neighborSolicitation(target: target, options: options)
        case .neighborAdvertisement:
            let (target, options) = try Self.neighbor(bytes)
            let advertisement = NeighborAdvertisement(
                target: target,
                isRouter: bytes[4] & 0x80 != 0,
                isSolicited: bytes[4] & 0x40 != 0,
                overrides: bytes[4] & 0x20 != 0,
                options: options
            )
            guard !header.destination.isMulticast || !advertisement.isSolicited else { throw .malformed }
            self = .neighborAdvertisement(advertisement)
        default: throw .unsupported
        }
    }

    private static func neighbor(
        _ bytes: Span<UInt8>
    ) throws(WireError) -> (target: IPv6Address, options: [NeighborDiscoveryOption]) {
        guard bytes.count >= 24 else { throw .truncated }
        let target = IPv6Address(bytes, at: 8)
        guard !target.isMulticast else { throw .malformed }
        return (target, try NeighborDiscoveryOption.list(parsing: bytes.extracting(24..<bytes.count)))
    }

    private static func hasSource(_ options: [NeighborDiscoveryOption]) -> Bool {
        options.contains { option in
            if case .sourceLinkLayerAddress = option { true } else { false }
        }
    }

    /// The message's first 8 octets.
    package var header: ICMPv6Message {
        switch self {
        case .routerSolicitation: ICMPv6Message(kind: .routerSolicitation)
        case .routerAdvertisement(let advertisement):
            ICMPv6Message(kind: .routerAdvertisement, restOfHeader: advertisement.restOfHeader)
        case .neighborSolicitation: ICMPv6Message(kind: .neighborSolicitation)
        case .neighborAdvertisement(let advertisement):
            ICMPv6Message(
                kind: .neighborAdvertisement,
                restOfHeader: (advertisement.isRouter ? 0x8000_0000 : 0)
                    | (advertisement.isSolicited ? 0x4000_0000 : 0) | (advertisement.overrides ? 0x2000_0000 : 0)
            )
        }
    }

    /// What follows the first 8 octets.
    package var payload: [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .routerSolicitation(let options): for option in options { option.append(to: &bytes) }
        case .routerAdvertisement(let advertisement): advertisement.appendBody(to: &bytes)
        case .neighborSolicitation(let target, let options):
            bytes.append(bigEndian: target.high)
            bytes.append(bigEndian: target.low)
            for option in options { option.append(to: &bytes) }
        case .neighborAdvertisement(let advertisement):
            bytes.append(bigEndian: advertisement.target.high)
            bytes.append(bigEndian: advertisement.target.low)
            for option in advertisement.options { option.append(to: &bytes) }
        }
        return bytes
    }
}

extension IPv6Address {
    /// `ff02::1`, every node of the link.
    package static let allNodes = IPv6Address(high: 0xFF02_0000_0000_0000, low: 1)
    /// `ff02::2`, every router of the link.
    package static let allRouters = IPv6Address(high: 0xFF02_0000_0000_0000, low: 2)

    /// Where the owner of an address listens for solicitations (RFC 4291 §2.7.1).
    package var solicitedNode: IPv6Address {
        IPv6Address(high: 0xFF02_0000_0000_0000, low: 0x0000_0001_FF00_0000 | low & 0xFF_FFFF)
    }

    /// The link-local address that a station makes of its hardware address (RFC 4291 appendix A).
    package init(linkLocalOf address: MACAddress) {
        let raw = address.rawValue ^ 0x0200_0000_0000
        self.init(high: 0xFE80_0000_0000_0000, low: (raw >> 24) << 40 | 0xFF_FE00_0000 | raw & 0xFF_FFFF)
    }
}

extension MACAddress {
    /// The group address that frames for a multicast address go to (RFC 2464 §7).
    package init(multicast address: IPv6Address) {
        self.init(rawValue: 0x3333_0000_0000 | address.low & 0xFFFF_FFFF)
    }
}

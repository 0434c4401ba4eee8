package import NetWire

/// What is to become of a frame from the guest.
package enum GuestLinkVerdict: Equatable, Sendable {
    /// The buffer now holds exactly the IP packet, and this is what it is; send it into the tailnet.
    case forward(ParsedPacket)
    /// The buffer now holds an Ethernet frame that answers; write it to the guest.
    case reply
    /// A name that only a resolver elsewhere can tell; answer by `GuestLink.respond(to:message:into:)`.
    case resolve(DNSQuery)
    /// A segment for the resolver's TCP port was taken: call `GuestLink.sendStreams(into:)`, and answer these queries like
    /// one of a `resolve` verdict.
    case stream([DNSQuery])
    /// Dealt with; there is nothing to send.
    case consumed
    /// Of no use, and counted.
    case drop(GuestDropReason)
}

/// Why a frame from or for the guest was thrown away.
package enum GuestDropReason: String, CaseIterable, Sendable {
    /// Too short for an Ethernet header.
    case runtFrame = "runt-frame"
    /// From a group address or from our own.
    case badHardwareAddress = "bad-hardware-address"
    /// For another station than us.
    case otherStation = "other-station"
    /// With an 802.1Q tag.
    case taggedFrame = "tagged-frame"
    /// Neither ARP nor IP.
    case unknownEtherType = "unknown-ether-type"
    /// The node has no addresses yet, or no longer.
    case linkDown = "link-down"
    /// ARP that cannot be read or is about other hardware.
    case malformedARP = "malformed-arp"
    /// ARP in the name of an address that is not the guest's.
    case spoofedARP = "spoofed-arp"
    /// Neighbor Discovery that cannot be read or has crossed a router.
    case malformedNeighborDiscovery = "malformed-neighbor-discovery"
    /// Neighbor Discovery in the name of an address that is not the guest's, or of a router.
    case spoofedNeighborDiscovery = "spoofed-neighbor-discovery"
    /// An IP packet that cannot be classified.
    case malformedPacket = "malformed-packet"
    /// From an address that is not the guest's.
    case spoofedSource = "spoofed-source"
    /// From or to link-local addresses, which end at the link.
    case linkLocal = "link-local"
    /// To a multicast or broadcast address, which tailnets do not carry.
    case multicast = "multicast"
    /// To the guest's own address.
    case ownDestination = "own-destination"
    /// Tailscale's in-tunnel protocol, which only nodes themselves speak.
    case reservedProtocol = "reserved-protocol"
    /// A packet to the service address that has no answer: fragments, resets, bad checksums.
    case uselessToService = "useless-to-service"
    /// DHCP that cannot be read, or is not for this server.
    case uselessDHCP = "useless-dhcp"
    /// Too large for the link, and no error may be sent about it.
    case tooBig = "too-big"
    /// For the guest, but its NIC takes no more for now.
    case guestBusy = "guest-busy"
}

/// What has passed a guest's link since it was made.
package struct GuestLinkCounters: Equatable, Sendable {
    /// Frames that the guest sent.
    package internal(set) var framesIn: UInt64 = 0
    /// Their octets.
    package internal(set) var octetsIn: UInt64 = 0
    /// Frames for the guest, answers included.
    package internal(set) var framesOut: UInt64 = 0
    /// Their octets.
    package internal(set) var octetsOut: UInt64 = 0
    /// Packets that went on into the tailnet.
    package internal(set) var forwarded: UInt64 = 0
    private var drops = [UInt64](repeating: 0, count: GuestDropReason.allCases.count)

    /// Nothing yet.
    package init() {}

    /// How many frames were dropped for a reason.
    package subscript(reason: GuestDropReason) -> UInt64 { drops[reason.index] }

    /// The reasons that occurred, with their counts.
    package var dropsByReason: [(reason: GuestDropReason, count: UInt64)] {
        GuestDropReason.allCases.map { ($0, self[$0]) }.filter { $0.1 > 0 }
    }

    mutating func count(_ reason: GuestDropReason) {
        drops[reason.index] &+= 1
    }
}

extension GuestDropReason {
    // A switch, because a search through `allCases` would make an array for every drop.
    fileprivate var index: Int {
        switch self {
        case .runtFrame: 0
        case .badHardwareAddress: 1
        case .otherStation: 2
        case .taggedFrame: 3
        case .unknownEtherType: 4
        case .linkDown: 5
        case .malformedARP: 6
        case .spoofedARP: 7
        case .malformedPacket: 8
        case .spoofedSource: 9
        case .linkLocal: 10
        case .multicast: 11
        case .ownDestination: 12
        case .reservedProtocol: 13
        case .uselessToService: 14
        case .uselessDHCP: 15
        case .tooBig: 16
        case .guestBusy: 17
        case .malformedNeighborDiscovery: 18
        case .spoofedNeighborDiscovery: 19
        }
    }
}

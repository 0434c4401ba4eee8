import NetTypes
import NetWire

/// Tells the guest that we are its router and resolver, and that its address is to be had by DHCPv6 (RFC 4861 §6.2).
///
/// No prefix is announced: an address that the guest made by itself would not be its node's.
struct RouterAdvertiser {
    private let hardwareAddress: MACAddress
    // What the guest may believe and must be told otherwise: search domains by name, the router itself by a flag.
    private var withdrawnDomains: [DNSName] = []
    private var isWithdrawn = false
    private var addressing: GuestAddressing?

    init(hardwareAddress: MACAddress) {
        self.hardwareAddress = hardwareAddress
    }

    /// Takes what the guest is given from now on.
    mutating func configure(_ next: GuestAddressing?) {
        let before = Self.domains(addressing)
        let after = Set(Self.domains(next))
        if !before.isEmpty || next?.ipv6 != nil { withdrawnDomains = before.filter { !after.contains($0) } }
        isWithdrawn = next?.ipv6 == nil && (isWithdrawn || addressing?.ipv6 != nil)
        addressing = next
    }

    /// What is to be said to a guest that asks; nil while it has no IPv6 address.
    var answer: RouterAdvertisement? {
        guard let addressing, addressing.ipv6 != nil else { return nil }
        return advertisement(addressing, lifetimeSeconds: GuestNetworkDefaults.routerLifetimeSeconds)
    }

    /// What is to be said unasked: the same, or once after the guest lost its address that there is no router.
    mutating func announcement() -> RouterAdvertisement? {
        if let answer { return answer }
        guard isWithdrawn else { return nil }
        isWithdrawn = false
        return advertisement(nil, lifetimeSeconds: 0)
    }

    private func advertisement(_ addressing: GuestAddressing?, lifetimeSeconds: UInt16) -> RouterAdvertisement {
        let mtu = addressing?.mtu ?? GuestNetworkConstants.mtu
        var options: [NeighborDiscoveryOption] = [
            .sourceLinkLayerAddress(hardwareAddress), .mtu(UInt32(clamping: mtu)),
            .nameServers([TailnetAddresses.serviceIPv6], lifetimeSeconds: UInt32(lifetimeSeconds)),
        ]
        let domains = Self.domains(addressing)
        if !domains.isEmpty { options.append(.searchDomains(domains, lifetimeSeconds: UInt32(lifetimeSeconds))) }
        if !withdrawnDomains.isEmpty { options.append(.searchDomains(withdrawnDomains, lifetimeSeconds: 0)) }
        return RouterAdvertisement(
            hopLimit: 64,
            isManaged: addressing != nil,
            hasOtherConfiguration: addressing != nil,
            routerLifetimeSeconds: lifetimeSeconds,
            options: options
        )
    }

    // Two lists of this size, old and new, stay with all else below the 1280 octets that every link passes.
    private static let domainOctets = 512

    private static func domains(_ addressing: GuestAddressing?) -> [DNSName] {
        guard let addressing, addressing.ipv6 != nil else { return [] }
        return addressing.searchList(upTo: domainOctets)
    }
}

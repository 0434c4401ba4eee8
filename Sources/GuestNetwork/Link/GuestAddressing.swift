package import NetTypes
package import NetWire

/// What a node's place in its tailnet means for its guest's NIC.
package struct GuestAddressing: Equatable, Sendable {
    /// The node's IPv4 address, given out by DHCP; nil in a tailnet without IPv4.
    package var ipv4: IPv4Address?
    /// The node's IPv6 address.
    package var ipv6: IPv6Address?
    /// Further networks that the guest may speak for: its approved advertised routes.
    package var advertisedRoutes: [IPPrefix]
    /// The guest's name, one label.
    package var hostname: String
    /// The tailnet's domain.
    package var domain: DNSName?
    /// Where short names are looked for, in this order.
    package var searchDomains: [DNSName]
    /// The largest packet, in octets.
    package var mtu: Int
    /// How long DHCP promises the address.
    package var leaseSeconds: UInt32

    /// The addressing of a guest.
    package init(
        ipv4: IPv4Address?,
        ipv6: IPv6Address? = nil,
        advertisedRoutes: [IPPrefix] = [],
        hostname: String,
        domain: DNSName? = nil,
        searchDomains: [DNSName] = [],
        mtu: Int = GuestNetworkConstants.mtu,
        leaseSeconds: UInt32 = GuestNetworkDefaults.leaseSeconds
    ) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.advertisedRoutes = advertisedRoutes
        self.hostname = hostname
        self.domain = domain
        self.searchDomains = searchDomains
        self.mtu = mtu
        self.leaseSeconds = leaseSeconds
    }

    /// Whether an address is the guest's own.
    func isOwn(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let address): address == ipv4
        case .v6(let address): address == ipv6
        }
    }

    /// Whether the guest may send as an address: its own, or one of a network that it routes for.
    func permitsSource(_ address: IPAddress) -> Bool {
        if isOwn(address) { return true }
        for route in advertisedRoutes where route.contains(address) { return true }
        return false
    }

    /// The domains that short names are looked for in, or else the guest's own: as many as fit, in order.
    func searchList(upTo byteCount: Int) -> [DNSName] {
        var room = byteCount
        return (searchDomains.isEmpty ? [domain].compactMap(\.self) : searchDomains).prefix { name in
            room -= name.wire.count
            return room >= 0
        }
    }

    /// The guest's name with its domain.
    var fullName: DNSName? {
        domain.flatMap { DNSName("\(hostname).\($0)") } ?? DNSName(hostname)
    }
}

package import NetTypes

/// The address plan of a tailnet.
package enum TailscaleAddress {
    /// 100.64.0.0/10, the IPv4 addresses of nodes.
    package static let ipv4Range = prefix(.v4(IPv4Address(100, 64, 0, 0)), 10)
    /// 100.115.92.0/23, used by ChromeOS and never handed out.
    package static let chromeOSRange = prefix(.v4(IPv4Address(100, 115, 92, 0)), 23)
    /// fd7a:115c:a1e0::/48, the IPv6 addresses of nodes.
    package static let ipv6Range = prefix(.v6(IPv6Address(high: 0xFD7A_115C_A1E0_0000, low: 0)), 48)
    /// fd7a:115c:a1e0:b1a::/64, IPv4 subnets of numbered sites.
    package static let via6Range = prefix(.v6(IPv6Address(high: 0xFD7A_115C_A1E0_0B1A, low: 0)), 64)
    /// fd7a:115c:a1e0:ab12:4843:cd96:6200::/104, companions of IPv4 addresses.
    package static let companionRange = prefix(
        .v6(IPv6Address(high: 0xFD7A_115C_A1E0_AB12, low: 0x4843_CD96_6200_0000)),
        104
    )
    /// 100.100.100.100, the resolver on every node.
    package static let serviceIPv4 = IPv4Address(100, 100, 100, 100)
    /// fd7a:115c:a1e0::53, the resolver on every node.
    package static let serviceIPv6 = IPv6Address(high: 0xFD7A_115C_A1E0_0000, low: 0x53)

    private static func prefix(_ address: IPAddress, _ length: Int) -> IPPrefix {
        IPPrefix(address, length: length) ?? IPPrefix(address)
    }

    /// Whether the address belongs to a tailnet: nodes and services.
    package static func contains(_ address: IPAddress) -> Bool {
        switch address {
        case .v4: ipv4Range.contains(address) && !chromeOSRange.contains(address)
        case .v6: ipv6Range.contains(address)
        }
    }

    /// Whether the address is one of the two service addresses.
    package static func isService(_ address: IPAddress) -> Bool {
        address == .v4(serviceIPv4) || address == .v6(serviceIPv6)
    }

    /// The IPv6 companion of an IPv4 tailnet address: its last three octets in the companion range.
    package static func companion(of address: IPv4Address) -> IPv6Address {
        IPv6Address(
            high: 0xFD7A_115C_A1E0_AB12,
            low: 0x4843_CD96_6200_0000 | UInt64(address.rawValue & 0xFF_FFFF)
        )
    }

    /// The IPv4 address whose companion this is, or nil.
    package static func companion(of address: IPv6Address) -> IPv4Address? {
        guard companionRange.contains(.v6(address)) else { return nil }
        return IPv4Address(rawValue: 100 << 24 | UInt32(address.low & 0xFF_FFFF))
    }

    /// The 4via6 form of an IPv4 prefix of a site; nil for an IPv6 prefix.
    package static func via6(site: UInt32, prefix: IPPrefix) -> IPPrefix? {
        guard case .v4(let address) = prefix.address else { return nil }
        return IPPrefix(.v6(via6(site: site, address: address)), length: 96 + prefix.length)
    }

    /// The 4via6 form of an IPv4 address of a site.
    package static func via6(site: UInt32, address: IPv4Address) -> IPv6Address {
        IPv6Address(high: 0xFD7A_115C_A1E0_0B1A, low: UInt64(site) << 32 | UInt64(address.rawValue))
    }

    /// The site and IPv4 address of a 4via6 address, or nil.
    package static func unmapVia6(_ address: IPv6Address) -> (site: UInt32, address: IPv4Address)? {
        guard via6Range.contains(.v6(address)) else { return nil }
        return (UInt32(address.low >> 32), IPv4Address(rawValue: UInt32(truncatingIfNeeded: address.low)))
    }
}

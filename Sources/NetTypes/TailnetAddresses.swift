/// The fixed part of a tailnet's address plan (tailscale net/tsaddr).
package enum TailnetAddresses {
    /// The resolver and gateway of every node, `100.100.100.100`.
    package static let serviceIPv4 = IPv4Address(100, 100, 100, 100)
    /// The resolver of every node, `fd7a:115c:a1e0::53`.
    package static let serviceIPv6 = IPv6Address(high: ula, low: 0x53)

    /// 100.64.0.0/10, the IPv4 addresses of nodes.
    package static let ipv4Range = prefix(.v4(IPv4Address(100, 64, 0, 0)), 10)
    /// 100.115.92.0/23, used by ChromeOS and never handed out.
    package static let chromeOSRange = prefix(.v4(IPv4Address(100, 115, 92, 0)), 23)
    /// fd7a:115c:a1e0::/48, the IPv6 addresses of nodes.
    package static let ipv6Range = prefix(.v6(IPv6Address(high: ula, low: 0)), 48)
    /// fd7a:115c:a1e0:b1a::/64, IPv4 subnets of numbered sites.
    package static let viaRange = prefix(.v6(IPv6Address(high: viaHigh, low: 0)), 64)

    private static let ula: UInt64 = 0xFD7A_115C_A1E0_0000
    private static let companionHigh: UInt64 = 0xFD7A_115C_A1E0_AB12
    private static let companionLow: UInt64 = 0x4843_CD96_6200_0000
    private static let viaHigh: UInt64 = 0xFD7A_115C_A1E0_0B1A

    /// Whether a node may have this address: 100.64.0.0/10 without ChromeOS' 100.115.92.0/23, or fd7a:115c:a1e0::/48.
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

    private static func prefix(_ address: IPAddress, _ length: Int) -> IPPrefix {
        IPPrefix(address, length: length) ?? IPPrefix(address)
    }

    /// The IPv6 address that older tailnets derive from a node's IPv4 address.
    package static func companion(of address: IPv4Address) -> IPv6Address {
        IPv6Address(high: companionHigh, low: companionLow | UInt64(address.rawValue & 0xFF_FFFF))
    }

    /// The IPv4 address whose `companion` this is; its first octet is always 100.
    package static func owner(ofCompanion address: IPv6Address) -> IPv4Address? {
        guard address.high == companionHigh, address.low >> 24 == companionLow >> 24 else { return nil }
        return IPv4Address(rawValue: 100 << 24 | UInt32(truncatingIfNeeded: address.low & 0xFF_FFFF))
    }

    /// The "4via6" address of an IPv4 address behind the subnet router of a site.
    package static func via(site: UInt32, _ address: IPv4Address) -> IPv6Address {
        IPv6Address(high: viaHigh, low: UInt64(site) << 32 | UInt64(address.rawValue))
    }

    /// The "4via6" prefix of an IPv4 prefix behind the subnet router of a site; nil for an IPv6 prefix.
    package static func via(site: UInt32, _ prefix: IPPrefix) -> IPPrefix? {
        guard case .v4(let address) = prefix.address else { return nil }
        return IPPrefix(.v6(via(site: site, address)), length: 96 + prefix.length)
    }

    /// Site and IPv4 address of a "4via6" address.
    package static func unmapVia(_ address: IPv6Address) -> (site: UInt32, address: IPv4Address)? {
        guard address.high == viaHigh else { return nil }
        return (
            UInt32(truncatingIfNeeded: address.low >> 32),
            IPv4Address(rawValue: UInt32(truncatingIfNeeded: address.low))
        )
    }
}

/// What an Ethernet frame carries: an assigned number of at least 0x0600 (IEEE 802).
package struct EtherType: RawRepresentable, Hashable, Sendable {
    /// The number as on the wire, in host order.
    package let rawValue: UInt16

    /// Takes any number; unknown ones survive.
    @inlinable
    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// IPv4.
    @inlinable package static var ipv4: EtherType { EtherType(rawValue: 0x0800) }
    /// ARP.
    @inlinable package static var arp: EtherType { EtherType(rawValue: 0x0806) }
    /// An 802.1Q tag; the real type follows it.
    @inlinable package static var vlan: EtherType { EtherType(rawValue: 0x8100) }
    /// IPv6.
    @inlinable package static var ipv6: EtherType { EtherType(rawValue: 0x86DD) }
}

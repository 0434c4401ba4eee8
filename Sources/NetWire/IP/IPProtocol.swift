/// The protocol number of an IP packet's payload (IANA).
package struct IPProtocol: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    package let rawValue: UInt8

    /// Takes any number; unknown ones survive.
    @inlinable
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// ICMP for IPv4.
    @inlinable package static var icmpv4: IPProtocol { IPProtocol(rawValue: 1) }
    /// TCP.
    @inlinable package static var tcp: IPProtocol { IPProtocol(rawValue: 6) }
    /// UDP.
    @inlinable package static var udp: IPProtocol { IPProtocol(rawValue: 17) }
    /// The fragment header of IPv6.
    @inlinable package static var ipv6Fragment: IPProtocol { IPProtocol(rawValue: 44) }
    /// GRE.
    @inlinable package static var gre: IPProtocol { IPProtocol(rawValue: 47) }
    /// ICMPv6.
    @inlinable package static var icmpv6: IPProtocol { IPProtocol(rawValue: 58) }
    /// Tailscale's own messages inside the tunnel.
    @inlinable package static var tsmp: IPProtocol { IPProtocol(rawValue: 99) }
    /// SCTP.
    @inlinable package static var sctp: IPProtocol { IPProtocol(rawValue: 132) }
}

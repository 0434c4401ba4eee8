package import NetTypes

/// What the packet path needs to know about an IP packet, read without copying or allocating.
///
/// The rules are those of the packet filter of Tailscale's client (net/packet), because verdicts depend on them: a packet
/// that cannot be classified throws and must be dropped. Of IPv6 only a fragment header directly after the fixed header
/// is stepped over; any other extension header stands as the packet's protocol.
package struct ParsedPacket: Equatable, Sendable {
    /// Which part of a packet this is.
    package enum Fragment: Equatable, Sendable {
        /// Not fragmented.
        case whole
        /// The first piece, with the whole transport header.
        case first
        /// A later piece, at least 80 octets in; ports and flags are zero.
        case later
    }

    /// Shorter packets are of no use to anyone.
    @inlinable package static var minimumByteCount: Int { 20 }
    /// A later fragment that begins before this offset could overwrite a transport header.
    @usableFromInline static var minimumFragmentOffset: Int { 80 }

    /// Who sent the packet.
    package let source: IPAddress
    /// Who it is for.
    package let destination: IPAddress
    /// What the payload is.
    package let ipProtocol: IPProtocol
    /// Whole or which part.
    package let fragment: Fragment
    /// The source port of TCP, UDP and SCTP, otherwise 0.
    package private(set) var sourcePort: UInt16 = 0
    /// The destination port of TCP, UDP and SCTP, otherwise 0.
    package private(set) var destinationPort: UInt16 = 0
    /// The control bits of TCP, otherwise none.
    package private(set) var tcpFlags: TCPFlags = []
    /// The type of an ICMP or ICMPv6 message, otherwise 0.
    package private(set) var icmpType: UInt8 = 0
    /// The code of an ICMP or ICMPv6 message, otherwise 0.
    package private(set) var icmpCode: UInt8 = 0
    /// Where the transport header begins.
    package let transportOffset: Int
    /// The packet's own length in octets; what follows it is padding.
    package let byteCount: Int

    /// 4 or 6.
    @inlinable package var version: UInt8 { source.isIPv4 ? 4 : 6 }
    /// The octets from the transport header to the packet's end.
    @inlinable package var transportByteCount: Int { byteCount - transportOffset }

    /// Classifies the packet at the start of `bytes`.
    ///
    /// - Throws: `.truncated`, `.badMagic` for neither version, `.badLength`, `.malformed` for a fragment that hides or
    ///   overwrites headers, `.unsupported` for protocols 0 and 255.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.minimumByteCount else { throw .truncated }
        switch bytes[0] >> 4 {
        case 4:
            let headerByteCount = Int(bytes[0] & 15) &* 4
            let totalByteCount = Int(bytes.bigEndian(at: 2, as: UInt16.self))
            guard totalByteCount <= bytes.count else { throw .truncated }
            guard headerByteCount >= IPv4Header.byteCount, headerByteCount <= totalByteCount else { throw .badLength }
            source = .v4(IPv4Address(bytes, at: 12))
            destination = .v4(IPv4Address(bytes, at: 16))
            ipProtocol = IPProtocol(rawValue: bytes[9])
            fragment = try Self.fragment(
                offset: Int(bytes.bigEndian(at: 6, as: UInt16.self) & 0x1FFF) &* 8,
                more: bytes[6] & 0x20 != 0
            )
            transportOffset = headerByteCount
            byteCount = totalByteCount
        case 6:
            guard bytes.count >= IPv6Header.byteCount else { throw .truncated }
            let totalByteCount = IPv6Header.byteCount &+ Int(bytes.bigEndian(at: 4, as: UInt16.self))
            guard totalByteCount <= bytes.count else { throw .truncated }
            source = .v6(IPv6Address(bytes, at: 8))
            destination = .v6(IPv6Address(bytes, at: 24))
            byteCount = totalByteCount
            if bytes[6] == IPProtocol.ipv6Fragment.rawValue {
                guard totalByteCount >= IPv6Header.byteCount &+ 8 else { throw .truncated }
                ipProtocol = IPProtocol(rawValue: bytes[40])
                fragment = try Self.fragment(
                    offset: Int(bytes.bigEndian(at: 42, as: UInt16.self) & 0xFFF8),
                    more: bytes[43] & 1 != 0
                )
                transportOffset = IPv6Header.byteCount &+ 8
            } else {
                ipProtocol = IPProtocol(rawValue: bytes[6])
                fragment = .whole
                transportOffset = IPv6Header.byteCount
            }
        default: throw .badMagic
        }
        guard ipProtocol.rawValue != 0, ipProtocol.rawValue != 255 else { throw .unsupported }
        if fragment != .later { try parseTransport(bytes) }
    }

    private static func fragment(offset: Int, more: Bool) throws(WireError) -> Fragment {
        if offset == 0 { return more ? .first : .whole }
        guard offset >= minimumFragmentOffset else { throw .malformed }
        return .later
    }

    private mutating func parseTransport(_ bytes: Span<UInt8>) throws(WireError) {
        let start = transportOffset
        switch ipProtocol {
        case .tcp:
            guard transportByteCount >= TCPHeader.byteCount else { throw .truncated }
            tcpFlags = TCPFlags(rawValue: bytes[start &+ 13])
        case .udp:
            guard transportByteCount >= UDPHeader.byteCount else { throw .truncated }
        case .sctp:
            guard transportByteCount >= 12 else { throw .truncated }
        case .icmpv4 where version == 4, .icmpv6 where version == 6:
            guard transportByteCount >= 4 else { throw .truncated }
            icmpType = bytes[start]
            icmpCode = bytes[start &+ 1]
            return
        case .tsmp:
            guard transportByteCount >= 7 else { throw .truncated }
            guard fragment == .whole else { throw .malformed }
            return
        default: return
        }
        sourcePort = bytes.bigEndian(at: start)
        destinationPort = bytes.bigEndian(at: start &+ 2)
    }
}

extension ParsedPacket {
    /// Whether this opens a TCP connection: SYN without ACK.
    @inlinable package var isTCPSYN: Bool {
        ipProtocol == .tcp && tcpFlags.intersection([.syn, .ack]) == .syn
    }

    /// Whether this is the answer to an echo request, or an ICMP error message (RFC 792, RFC 4443).
    package var isICMPReplyOrError: Bool {
        isEchoReply || isICMPError
    }

    /// Whether this is an ICMP or ICMPv6 echo request.
    package var isEchoRequest: Bool {
        guard fragment != .later, transportByteCount >= 8, icmpCode == 0 else { return false }
        return isICMPv4 ? icmpType == 8 : isICMPv6 && icmpType == 128
    }

    /// Whether this is an ICMP or ICMPv6 echo reply with code 0.
    package var isEchoReply: Bool {
        guard fragment != .later, transportByteCount >= 8, icmpCode == 0 else { return false }
        return isICMPv4 ? icmpType == 0 : isICMPv6 && icmpType == 129
    }

    /// Whether this is an ICMP or ICMPv6 error message; none may be answered with another one.
    package var isICMPError: Bool {
        guard fragment != .later, transportByteCount >= 8 else { return false }
        if isICMPv4 { return icmpType == 3 || icmpType == 11 || icmpType == 12 }
        return isICMPv6 && (1...4).contains(icmpType)
    }

    /// Whether this is ICMP over IPv4; the same number over IPv6 is a stranger.
    @inlinable package var isICMPv4: Bool { ipProtocol == .icmpv4 && version == 4 }
    /// Whether this is ICMPv6 over IPv6.
    @inlinable package var isICMPv6: Bool { ipProtocol == .icmpv6 && version == 6 }
}

package import NetTypes

/// A whole IP packet with one UDP datagram in it.
package enum UDPPacket {
    /// The octets of a packet of either family with its checksums; nil when the families differ or it would be too long.
    package static func bytes(from source: AddressPort, to target: AddressPort, payload: Span<UInt8>) -> [UInt8]? {
        guard payload.count <= Int(UInt16.max) - IPv6Header.byteCount - UDPHeader.byteCount else { return nil }
        var udp = UDPHeader(sourcePort: source.port, destinationPort: target.port, payloadByteCount: payload.count)
        switch (source.address, target.address) {
        case (.v4(let sourceAddress), .v4(let targetAddress)):
            let ipv4 = IPv4Header(
                ipProtocol: .udp,
                source: sourceAddress,
                destination: targetAddress,
                payloadByteCount: udp.totalByteCount
            )
            udp.seal(ipv4.pseudoHeader(payloadByteCount: udp.totalByteCount), payload: payload)
            var bytes = [UInt8](repeating: 0, count: ipv4.totalByteCount)
            var elements = bytes.mutableSpan
            var octets = unsafe elements.mutableBytes
            ipv4.store(into: &octets, at: 0)
            udp.store(into: &octets, at: IPv4Header.byteCount)
            octets.store(payload, at: IPv4Header.byteCount + UDPHeader.byteCount)
            return bytes
        case (.v6(let sourceAddress), .v6(let targetAddress)):
            let ipv6 = IPv6Header(
                nextHeader: .udp,
                source: sourceAddress,
                destination: targetAddress,
                payloadByteCount: udp.totalByteCount
            )
            udp.seal(ipv6.pseudoHeader(of: .udp, byteCount: udp.totalByteCount), payload: payload)
            var bytes = [UInt8](repeating: 0, count: IPv6Header.byteCount + udp.totalByteCount)
            var elements = bytes.mutableSpan
            var octets = unsafe elements.mutableBytes
            ipv6.store(into: &octets, at: 0)
            udp.store(into: &octets, at: IPv6Header.byteCount)
            octets.store(payload, at: IPv6Header.byteCount + UDPHeader.byteCount)
            return bytes
        default: return nil
        }
    }

    /// Where the payload of a whole UDP datagram lies; nil when a length or the checksum is wrong.
    ///
    /// Over IPv6 a checksum is not optional (RFC 8200 §8.1).
    package static func payloadRange(of packet: Span<UInt8>, _ parsed: ParsedPacket) -> Range<Int>? {
        guard parsed.ipProtocol == .udp, parsed.fragment == .whole else { return nil }
        let transport = packet.extracting(parsed.transportOffset..<parsed.byteCount)
        guard let udp = try? UDPHeader(parsing: transport) else { return nil }
        let datagram = transport.extracting(0..<udp.totalByteCount)
        switch parsed.source {
        case .v4:
            guard let ipv4 = try? IPv4Header(parsing: packet),
                udp.isChecksumValid(ipv4.pseudoHeader(payloadByteCount: udp.totalByteCount), datagram: datagram)
            else { return nil }
        case .v6:
            guard let ipv6 = try? IPv6Header(parsing: packet), udp.checksum != 0,
                udp.isChecksumValid(ipv6.pseudoHeader(of: .udp, byteCount: udp.totalByteCount), datagram: datagram)
            else { return nil }
        }
        let start = parsed.transportOffset + UDPHeader.byteCount
        return start..<(parsed.transportOffset + udp.totalByteCount)
    }
}

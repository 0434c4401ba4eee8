import NetTypes

/// Cuts an IP packet of our own into fragments (RFC 791 §3.2, RFC 8200 §4.5).
package enum PacketFragments {
    /// The packets to send in place of one that may be too large for `mtu`: itself when it fits.
    ///
    /// The packet must have no options and no extension headers.
    package static func of(_ packet: [UInt8], mtu: Int, identification: UInt32) -> [[UInt8]] {
        guard packet.count > mtu, let first = packet.first else { return [packet] }
        return first >> 4 == 4
            ? ipv4(packet, mtu, UInt16(truncatingIfNeeded: identification)) : ipv6(packet, mtu, identification)
    }

    private static func ipv4(_ packet: [UInt8], _ mtu: Int, _ identification: UInt16) -> [[UInt8]] {
        guard var header = try? IPv4Header(parsing: packet.span), header.headerByteCount == IPv4Header.byteCount,
            let pieces = pieces(packet.count - IPv4Header.byteCount, room: mtu - IPv4Header.byteCount)
        else { return [] }
        header.identification = identification
        header.dontFragment = false
        return pieces.map { piece in
            header.moreFragments = piece.upperBound < packet.count - IPv4Header.byteCount
            header.fragmentOffset = piece.lowerBound
            header.totalByteCount = IPv4Header.byteCount + piece.count
            var bytes = [UInt8](repeating: 0, count: header.totalByteCount)
            var elements = bytes.mutableSpan
            var octets = unsafe elements.mutableBytes
            header.store(into: &octets, at: 0)
            octets.store(packet.span.extracting(shifted(piece, IPv4Header.byteCount)), at: IPv4Header.byteCount)
            return bytes
        }
    }

    private static func ipv6(_ packet: [UInt8], _ mtu: Int, _ identification: UInt32) -> [[UInt8]] {
        let fragmentHeaderByteCount = 8
        let unfragmentable = IPv6Header.byteCount + fragmentHeaderByteCount
        guard var header = try? IPv6Header(parsing: packet.span),
            let pieces = pieces(packet.count - IPv6Header.byteCount, room: mtu - unfragmentable)
        else { return [] }
        let payloadProtocol = header.nextHeader
        header.nextHeader = .ipv6Fragment
        return pieces.map { piece in
            let isLast = piece.upperBound == packet.count - IPv6Header.byteCount
            header.payloadByteCount = fragmentHeaderByteCount + piece.count
            var bytes = [UInt8](repeating: 0, count: unfragmentable + piece.count)
            var elements = bytes.mutableSpan
            var octets = unsafe elements.mutableBytes
            header.store(into: &octets, at: 0)
            octets.store(bigEndian: UInt16(payloadProtocol.rawValue) << 8, at: 40)
            octets.store(bigEndian: UInt16(truncatingIfNeeded: piece.lowerBound) | (isLast ? 0 : 1), at: 42)
            octets.store(bigEndian: identification, at: 44)
            octets.store(packet.span.extracting(shifted(piece, IPv6Header.byteCount)), at: unfragmentable)
            return bytes
        }
    }

    /// The payload in pieces of at most `room` octets, all but the last a multiple of eight.
    private static func pieces(_ count: Int, room: Int) -> [Range<Int>]? {
        let step = room & ~7
        guard step > 0 else { return nil }
        return stride(from: 0, to: count, by: step).map { $0..<min($0 + step, count) }
    }

    private static func shifted(_ range: Range<Int>, _ offset: Int) -> Range<Int> {
        (range.lowerBound + offset)..<(range.upperBound + offset)
    }
}

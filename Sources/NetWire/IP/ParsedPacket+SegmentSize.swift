import NetTypes

extension ParsedPacket {
    /// Lowers the segment size that a TCP SYN announces to what packets of `mtu` octets carry; in place, and only ever down.
    ///
    /// Whoever ignores the interface's MTU, such as a guest that routes for others, would otherwise invite segments that
    /// no tunnel passes (RFC 9293 §3.7.1). The checksum follows by RFC 1624, so a wrong one stays wrong.
    ///
    /// - Parameters:
    ///   - span: Holds the packet that was parsed.
    ///   - start: Where the packet begins in it.
    ///   - mtu: The largest packet, in octets.
    package func clampSegmentSize(in span: inout MutableRawSpan, at start: Int, mtu: Int) {
        guard ipProtocol == .tcp, tcpFlags.contains(.syn), fragment != .later else { return }
        let segment = start + transportOffset
        let limit = UInt16(
            clamping: mtu - TCPHeader.byteCount - (version == 4 ? IPv4Header.byteCount : IPv6Header.byteCount)
        )
        guard let (place, old, checksum) = announcedSegmentSize(Span<UInt8>(_bytes: span.bytes), segment), old > limit
        else { return }
        // At an odd place the two octets belong to different words of the sum, which swaps their weights.
        let isSwapped = (place - segment) & 1 != 0
        var sum = InternetChecksum()
        sum.add(word: ~checksum)
        sum.add(word: ~(isSwapped ? old.byteSwapped : old))
        sum.add(word: isSwapped ? limit.byteSwapped : limit)
        span.store(bigEndian: limit, at: place)
        span.store(bigEndian: sum.value, at: segment + 16)
    }

    /// Where the value of the option "maximum segment size" lies, what it is, and the segment's checksum.
    ///
    /// Nil without one, or when the options are broken.
    private func announcedSegmentSize(
        _ octets: Span<UInt8>,
        _ segment: Int
    ) -> (place: Int, value: UInt16, checksum: UInt16)? {
        let headerByteCount = Int(octets[segment + 12] >> 4) * 4
        guard headerByteCount <= transportByteCount else { return nil }
        var place = segment + TCPHeader.byteCount
        let end = segment + headerByteCount
        while place < end {
            switch octets[place] {
            case 0: return nil
            case 1: place += 1
            case let kind:
                guard place + 1 < end else { return nil }
                let byteCount = Int(octets[place + 1])
                guard byteCount >= 2, place + byteCount <= end else { return nil }
                guard kind != 2 else {
                    guard byteCount == 4 else { return nil }
                    return (place + 2, octets.bigEndian(at: place + 2), octets.bigEndian(at: segment + 16))
                }
                place += byteCount
            }
        }
        return nil
    }
}

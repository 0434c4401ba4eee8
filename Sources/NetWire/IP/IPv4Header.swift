package import NetTypes

/// An IPv4 header (RFC 791).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 1 | version 4, header length in 32-bit words |
/// | 1 | 1 | type of service |
/// | 2 | 2 | total length |
/// | 4 | 2 | identification |
/// | 6 | 2 | flags (reserved, DF, MF), fragment offset in units of 8 octets |
/// | 8 | 1 | time to live |
/// | 9 | 1 | protocol |
/// | 10 | 2 | header checksum |
/// | 12 | 4 | source |
/// | 16 | 4 | destination |
///
/// Options are skipped when reading and never written.
package struct IPv4Header: Equatable, Sendable {
    /// 20 octets: what `store` writes.
    @inlinable package static var byteCount: Int { 20 }

    /// The header with its options, 20…60 octets.
    package var headerByteCount: Int
    /// DSCP and ECN.
    package var typeOfService: UInt8
    /// Header and payload together, in octets.
    package var totalByteCount: Int
    /// Joins fragments.
    package var identification: UInt16
    /// DF: routers must answer instead of splitting.
    package var dontFragment: Bool
    /// MF: this is a fragment and not the last one.
    package var moreFragments: Bool
    /// Where this fragment's payload belongs, in octets, a multiple of 8.
    package var fragmentOffset: Int
    /// Hops left.
    package var timeToLive: UInt8
    /// What the payload is.
    package var ipProtocol: IPProtocol
    /// Who sent the packet.
    package var source: IPv4Address
    /// Who it is for.
    package var destination: IPv4Address

    /// The header of an unfragmented packet without options.
    package init(
        ipProtocol: IPProtocol,
        source: IPv4Address,
        destination: IPv4Address,
        payloadByteCount: Int,
        identification: UInt16 = 0,
        dontFragment: Bool = true,
        timeToLive: UInt8 = 64
    ) {
        headerByteCount = Self.byteCount
        typeOfService = 0
        totalByteCount = Self.byteCount + payloadByteCount
        self.identification = identification
        self.dontFragment = dontFragment
        moreFragments = false
        fragmentOffset = 0
        self.timeToLive = timeToLive
        self.ipProtocol = ipProtocol
        self.source = source
        self.destination = destination
    }

    /// Reads the header at the start of a packet; octets beyond the total length are tolerated.
    ///
    /// The checksum is not looked at, see `isChecksumValid(_:)`.
    /// - Throws: `.truncated`, `.badMagic` for another version, `.badLength` when the lengths contradict each other.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.byteCount else { throw .truncated }
        guard bytes[0] >> 4 == 4 else { throw .badMagic }
        headerByteCount = Int(bytes[0] & 15) * 4
        typeOfService = bytes[1]
        totalByteCount = Int(bytes.bigEndian(at: 2, as: UInt16.self))
        guard headerByteCount >= Self.byteCount, headerByteCount <= totalByteCount else { throw .badLength }
        guard totalByteCount <= bytes.count else { throw .truncated }
        identification = bytes.bigEndian(at: 4)
        let fragment: UInt16 = bytes.bigEndian(at: 6)
        dontFragment = fragment & 0x4000 != 0
        moreFragments = fragment & 0x2000 != 0
        fragmentOffset = Int(fragment & 0x1FFF) * 8
        timeToLive = bytes[8]
        ipProtocol = IPProtocol(rawValue: bytes[9])
        source = IPv4Address(bytes, at: 12)
        destination = IPv4Address(bytes, at: 16)
    }

    /// Whether the header at the start of `bytes` sums to zero; the header must have been parsed from there.
    package func isChecksumValid(_ bytes: Span<UInt8>) -> Bool {
        InternetChecksum.of(bytes.extracting(0..<headerByteCount)) == 0
    }

    /// The sum over the pseudo header that TCP and UDP begin with.
    package func pseudoHeader(payloadByteCount: Int) -> InternetChecksum {
        var checksum = InternetChecksum()
        checksum.add(source)
        checksum.add(destination)
        checksum.add(word: UInt16(ipProtocol.rawValue))
        checksum.add(word: UInt16(truncatingIfNeeded: payloadByteCount))
        return checksum
    }

    /// Writes 20 octets with their checksum at `offset`; `headerByteCount` must be 20.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        precondition(headerByteCount == Self.byteCount, "options are not written")
        let fragment =
            (dontFragment ? 0x4000 : 0) | (moreFragments ? 0x2000 : 0) | UInt16(truncatingIfNeeded: fragmentOffset / 8)
        let first = 0x4500 | UInt16(typeOfService)
        let hops = UInt16(timeToLive) << 8 | UInt16(ipProtocol.rawValue)
        var checksum = InternetChecksum()
        checksum.add(word: first)
        checksum.add(word: UInt16(truncatingIfNeeded: totalByteCount))
        checksum.add(word: identification)
        checksum.add(word: fragment)
        checksum.add(word: hops)
        checksum.add(source)
        checksum.add(destination)
        span.store(bigEndian: first, at: offset)
        span.store(bigEndian: UInt16(truncatingIfNeeded: totalByteCount), at: offset + 2)
        span.store(bigEndian: identification, at: offset + 4)
        span.store(bigEndian: fragment, at: offset + 6)
        span.store(bigEndian: hops, at: offset + 8)
        span.store(bigEndian: checksum.value, at: offset + 10)
        source.store(into: &span, at: offset + 12)
        destination.store(into: &span, at: offset + 16)
    }
}

package import NetTypes

/// The fixed IPv6 header (RFC 8200 §3).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 4 | version 6, traffic class (8 bits), flow label (20 bits) |
/// | 4 | 2 | payload length |
/// | 6 | 1 | next header |
/// | 7 | 1 | hop limit |
/// | 8 | 16 | source |
/// | 24 | 16 | destination |
package struct IPv6Header: Equatable, Sendable {
    /// 40 octets.
    @inlinable package static var byteCount: Int { 40 }

    /// DSCP and ECN.
    package var trafficClass: UInt8
    /// The low 20 bits count.
    package var flowLabel: UInt32
    /// What follows the header, extension headers included, in octets.
    package var payloadByteCount: Int
    /// The first extension header or the payload's protocol.
    package var nextHeader: IPProtocol
    /// Hops left.
    package var hopLimit: UInt8
    /// Who sent the packet.
    package var source: IPv6Address
    /// Who it is for.
    package var destination: IPv6Address

    /// A header of these fields.
    package init(
        nextHeader: IPProtocol,
        source: IPv6Address,
        destination: IPv6Address,
        payloadByteCount: Int,
        hopLimit: UInt8 = 64,
        trafficClass: UInt8 = 0,
        flowLabel: UInt32 = 0
    ) {
        self.trafficClass = trafficClass
        self.flowLabel = flowLabel & 0xFFFFF
        self.payloadByteCount = payloadByteCount
        self.nextHeader = nextHeader
        self.hopLimit = hopLimit
        self.source = source
        self.destination = destination
    }

    /// Reads the header at the start of a packet; octets beyond the announced payload are tolerated.
    ///
    /// - Throws: `.truncated`, `.badMagic` for another version.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.byteCount else { throw .truncated }
        let first: UInt32 = bytes.bigEndian(at: 0)
        guard first >> 28 == 6 else { throw .badMagic }
        trafficClass = UInt8(truncatingIfNeeded: first >> 20)
        flowLabel = first & 0xFFFFF
        payloadByteCount = Int(bytes.bigEndian(at: 4, as: UInt16.self))
        guard Self.byteCount + payloadByteCount <= bytes.count else { throw .truncated }
        nextHeader = IPProtocol(rawValue: bytes[6])
        hopLimit = bytes[7]
        source = IPv6Address(bytes, at: 8)
        destination = IPv6Address(bytes, at: 24)
    }

    /// The sum over the pseudo header that TCP, UDP and ICMPv6 begin with (RFC 8200 §8.1).
    package func pseudoHeader(of ipProtocol: IPProtocol, byteCount: Int) -> InternetChecksum {
        var checksum = InternetChecksum()
        checksum.add(source)
        checksum.add(destination)
        checksum.add(word: UInt16(truncatingIfNeeded: byteCount))
        checksum.add(word: UInt16(ipProtocol.rawValue))
        return checksum
    }

    /// Writes 40 octets at `offset`.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        span.store(bigEndian: UInt32(6) << 28 | UInt32(trafficClass) << 20 | flowLabel & 0xFFFFF, at: offset)
        span.store(bigEndian: UInt16(truncatingIfNeeded: payloadByteCount), at: offset + 4)
        span.storeBytes(of: nextHeader.rawValue, toByteOffset: offset + 6, as: UInt8.self)
        span.storeBytes(of: hopLimit, toByteOffset: offset + 7, as: UInt8.self)
        source.store(into: &span, at: offset + 8)
        destination.store(into: &span, at: offset + 24)
    }
}

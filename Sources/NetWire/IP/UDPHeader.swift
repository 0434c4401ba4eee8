package import NetTypes

/// A UDP header (RFC 768).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 2 | source port |
/// | 2 | 2 | destination port |
/// | 4 | 2 | length of header and payload |
/// | 6 | 2 | checksum, 0 = none (IPv4 only) |
package struct UDPHeader: Equatable, Sendable {
    /// 8 octets.
    @inlinable package static var byteCount: Int { 8 }

    /// Where the datagram comes from.
    package var sourcePort: UInt16
    /// Where it goes.
    package var destinationPort: UInt16
    /// Header and payload together, in octets.
    package var totalByteCount: Int
    /// The checksum as on the wire.
    package var checksum: UInt16

    /// A header whose checksum is yet to be made by `seal`.
    package init(sourcePort: UInt16, destinationPort: UInt16, payloadByteCount: Int) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        totalByteCount = Self.byteCount + payloadByteCount
        checksum = 0
    }

    /// Reads the header at the start of an IP payload; octets beyond its length are tolerated.
    ///
    /// - Throws: `.truncated`; `.badLength` when the length does not cover the header.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.byteCount else { throw .truncated }
        sourcePort = bytes.bigEndian(at: 0)
        destinationPort = bytes.bigEndian(at: 2)
        totalByteCount = Int(bytes.bigEndian(at: 4, as: UInt16.self))
        checksum = bytes.bigEndian(at: 6)
        guard totalByteCount >= Self.byteCount else { throw .badLength }
        guard totalByteCount <= bytes.count else { throw .truncated }
    }

    /// Computes the checksum over pseudo header, header and payload.
    package mutating func seal(_ pseudoHeader: InternetChecksum, payload: Span<UInt8>) {
        var sum = pseudoHeader
        sum.add(word: sourcePort)
        sum.add(word: destinationPort)
        sum.add(word: UInt16(truncatingIfNeeded: totalByteCount))
        sum.add(payload)
        // Zero means "no checksum", so a computed zero travels as its other form.
        checksum = sum.value == 0 ? 0xFFFF : sum.value
    }

    /// Whether the datagram `bytes` (header first, exactly `totalByteCount` octets) has a right or absent checksum.
    package func isChecksumValid(_ pseudoHeader: InternetChecksum, datagram bytes: Span<UInt8>) -> Bool {
        if checksum == 0 { return true }
        var sum = pseudoHeader
        sum.add(bytes)
        return sum.value == 0
    }

    /// Writes 8 octets at `offset`.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        span.store(bigEndian: sourcePort, at: offset)
        span.store(bigEndian: destinationPort, at: offset + 2)
        span.store(bigEndian: UInt16(truncatingIfNeeded: totalByteCount), at: offset + 4)
        span.store(bigEndian: checksum, at: offset + 6)
    }
}

package import NetTypes

/// The control bits of a TCP segment.
package struct TCPFlags: OptionSet, Hashable, Sendable {
    /// The bits of octet 13.
    package let rawValue: UInt8

    /// Takes any bits.
    @inlinable
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// No more from the sender.
    @inlinable package static var fin: TCPFlags { TCPFlags(rawValue: 1) }
    /// Opens a connection.
    @inlinable package static var syn: TCPFlags { TCPFlags(rawValue: 2) }
    /// Ends it at once.
    @inlinable package static var rst: TCPFlags { TCPFlags(rawValue: 4) }
    /// Hand over now.
    @inlinable package static var psh: TCPFlags { TCPFlags(rawValue: 8) }
    /// The acknowledgement number counts.
    @inlinable package static var ack: TCPFlags { TCPFlags(rawValue: 16) }
}

/// A TCP header without options (RFC 9293 §3.1).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 2 | source port |
/// | 2 | 2 | destination port |
/// | 4 | 4 | sequence number |
/// | 8 | 4 | acknowledgement number |
/// | 12 | 1 | header length in 32-bit words (high half) |
/// | 13 | 1 | control bits |
/// | 14 | 2 | window |
/// | 16 | 2 | checksum |
/// | 18 | 2 | urgent pointer |
package struct TCPHeader: Equatable, Sendable {
    /// 20 octets: what `store` writes.
    @inlinable package static var byteCount: Int { 20 }

    /// Where the segment comes from.
    package var sourcePort: UInt16
    /// Where it goes.
    package var destinationPort: UInt16
    /// The number of the first octet.
    package var sequenceNumber: UInt32
    /// The next octet expected, when ACK is set.
    package var acknowledgementNumber: UInt32
    /// The header with its options, 20…60 octets.
    package var headerByteCount: Int
    /// The control bits.
    package var flags: TCPFlags
    /// The receive window, unscaled.
    package var window: UInt16
    /// The checksum as on the wire.
    package var checksum: UInt16

    /// A header without options whose checksum is yet to be made by `seal`.
    package init(
        sourcePort: UInt16,
        destinationPort: UInt16,
        sequenceNumber: UInt32,
        acknowledgementNumber: UInt32,
        flags: TCPFlags,
        window: UInt16
    ) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.sequenceNumber = sequenceNumber
        self.acknowledgementNumber = acknowledgementNumber
        headerByteCount = Self.byteCount
        self.flags = flags
        self.window = window
        checksum = 0
    }

    /// Reads the header at the start of an IP payload; options are skipped.
    ///
    /// - Throws: `.truncated`; `.badLength` when the header length is below 20 octets.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.byteCount else { throw .truncated }
        sourcePort = bytes.bigEndian(at: 0)
        destinationPort = bytes.bigEndian(at: 2)
        sequenceNumber = bytes.bigEndian(at: 4)
        acknowledgementNumber = bytes.bigEndian(at: 8)
        headerByteCount = Int(bytes[12] >> 4) * 4
        flags = TCPFlags(rawValue: bytes[13])
        window = bytes.bigEndian(at: 14)
        checksum = bytes.bigEndian(at: 16)
        guard headerByteCount >= Self.byteCount else { throw .badLength }
        guard headerByteCount <= bytes.count else { throw .truncated }
    }

    /// Computes the checksum over pseudo header, header and payload.
    package mutating func seal(_ pseudoHeader: InternetChecksum, payload: Span<UInt8>) {
        var sum = pseudoHeader
        sum.add(word: sourcePort)
        sum.add(word: destinationPort)
        sum.add(word: UInt16(truncatingIfNeeded: sequenceNumber >> 16))
        sum.add(word: UInt16(truncatingIfNeeded: sequenceNumber))
        sum.add(word: UInt16(truncatingIfNeeded: acknowledgementNumber >> 16))
        sum.add(word: UInt16(truncatingIfNeeded: acknowledgementNumber))
        sum.add(word: 0x5000 | UInt16(flags.rawValue))
        sum.add(word: window)
        sum.add(payload)
        checksum = sum.value
    }

    /// Writes 20 octets at `offset`; `headerByteCount` must be 20.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        precondition(headerByteCount == Self.byteCount, "options are not written")
        span.store(bigEndian: sourcePort, at: offset)
        span.store(bigEndian: destinationPort, at: offset + 2)
        span.store(bigEndian: sequenceNumber, at: offset + 4)
        span.store(bigEndian: acknowledgementNumber, at: offset + 8)
        span.store(bigEndian: 0x5000 | UInt16(flags.rawValue), at: offset + 12)
        span.store(bigEndian: window, at: offset + 14)
        span.store(bigEndian: checksum, at: offset + 16)
        span.store(bigEndian: UInt16(0), at: offset + 18)
    }
}

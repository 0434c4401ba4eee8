/// An Ethernet address of six octets, kept in the low 48 bits of an integer.
package struct MACAddress: Hashable, Sendable {
    /// The octets in network order, in the low 48 bits.
    package let rawValue: UInt64

    /// Takes the low 48 bits of `rawValue`.
    @inlinable
    package init(rawValue: UInt64) {
        self.rawValue = rawValue & 0xFFFF_FFFF_FFFF
    }

    /// Reads six octets at `offset`; traps beyond the span.
    @inlinable
    package init(_ bytes: Span<UInt8>, at offset: Int) {
        let high: UInt32 = bytes.bigEndian(at: offset)
        let low: UInt16 = bytes.bigEndian(at: offset &+ 4)
        rawValue = UInt64(high) << 16 | UInt64(low)
    }

    /// Parses `52:54:00:12:34:56` (colons, either case).
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6 else { return nil }
        var value: UInt64 = 0
        for part in parts {
            guard part.utf8.count == 2, let octet = UInt8(part, radix: 16) else { return nil }
            value = value << 8 | UInt64(octet)
        }
        rawValue = value
    }

    /// `ff:ff:ff:ff:ff:ff`.
    package static let broadcast = MACAddress(rawValue: 0xFFFF_FFFF_FFFF)

    /// Whether the group bit is set (broadcast included).
    @inlinable
    package var isMulticast: Bool { rawValue >> 40 & 1 == 1 }

    /// Stores the six octets at `offset`; traps beyond the span.
    @inlinable
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        span.store(bigEndian: UInt32(truncatingIfNeeded: rawValue >> 16), at: offset)
        span.store(bigEndian: UInt16(truncatingIfNeeded: rawValue), at: offset &+ 4)
    }
}

extension MACAddress: CustomStringConvertible {
    /// Lower-case octets separated by colons.
    package var description: String {
        (0..<6).reversed().map { index in
            let octet = UInt8(truncatingIfNeeded: rawValue >> UInt64(index * 8))
            return (octet < 16 ? "0" : "") + String(octet, radix: 16)
        }.joined(separator: ":")
    }
}

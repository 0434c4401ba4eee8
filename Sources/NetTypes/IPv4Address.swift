/// An IPv4 address, compared and stored as one number.
package struct IPv4Address: Hashable, Sendable {
    /// The address in host order: `1.2.3.4` is `0x01020304`.
    package let rawValue: UInt32

    /// The address whose number is `rawValue`.
    @inlinable
    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// The address `a.b.c.d`.
    @inlinable
    package init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        rawValue = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    /// Reads four octets at `offset`; traps beyond the span.
    @inlinable
    package init(_ bytes: Span<UInt8>, at offset: Int) {
        rawValue = bytes.bigEndian(at: offset)
    }

    /// Parses four decimal octets; leading zeros, signs and blanks are refused.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
                part.utf8.count == 1 || part.utf8.first != 48, let octet = UInt8(part)
            else { return nil }
            value = value << 8 | UInt32(octet)
        }
        rawValue = value
    }

    /// `0.0.0.0`.
    package static let unspecified = IPv4Address(rawValue: 0)
    /// `255.255.255.255`.
    package static let broadcast = IPv4Address(rawValue: .max)
    /// `127.0.0.1`.
    package static let loopback = IPv4Address(127, 0, 0, 1)

    /// `0.0.0.0`.
    @inlinable package var isUnspecified: Bool { rawValue == 0 }
    /// 127.0.0.0/8.
    @inlinable package var isLoopback: Bool { rawValue >> 24 == 127 }
    /// 169.254.0.0/16.
    @inlinable package var isLinkLocal: Bool { rawValue >> 16 == 0xA9FE }
    /// 224.0.0.0/4.
    @inlinable package var isMulticast: Bool { rawValue >> 28 == 0xE }
    /// 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 (RFC 1918).
    @inlinable package var isPrivate: Bool {
        rawValue >> 24 == 10 || rawValue >> 20 == 0xAC1 || rawValue >> 16 == 0xC0A8
    }
    /// 100.64.0.0/10 (RFC 6598).
    @inlinable package var isCarrierGradeNAT: Bool { rawValue >> 22 == 0x191 }

    /// Stores the four octets at `offset`; traps beyond the span.
    @inlinable
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        span.store(bigEndian: rawValue, at: offset)
    }
}

extension IPv4Address: Comparable {
    /// Numeric order.
    @inlinable
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

extension IPv4Address: CustomStringConvertible {
    /// Dotted decimal.
    package var description: String {
        "\(rawValue >> 24).\(rawValue >> 16 & 255).\(rawValue >> 8 & 255).\(rawValue & 255)"
    }
}

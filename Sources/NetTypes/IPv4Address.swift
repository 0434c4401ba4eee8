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
        // One walk over the octets: a big network map has tens of thousands of addresses.
        var (value, part): (UInt32, UInt32) = (0, 0)
        var (digits, dots) = (0, 0)
        for octet in text.utf8 {
            if octet == 46 {
                guard digits > 0, dots < 3 else { return nil }
                (value, part, digits, dots) = (value << 8 | part, 0, 0, dots + 1)
            } else {
                // A leading zero would mean octal to some.
                guard (48...57).contains(octet), digits == 0 || part > 0 else { return nil }
                part = part * 10 + UInt32(octet - 48)
                digits += 1
                guard part <= 255 else { return nil }
            }
        }
        guard digits > 0, dots == 3 else { return nil }
        rawValue = value << 8 | part
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

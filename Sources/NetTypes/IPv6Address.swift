/// An IPv6 address as two numbers in host order.
package struct IPv6Address: Hashable, Sendable {
    /// The first eight octets.
    package let high: UInt64
    /// The last eight octets.
    package let low: UInt64

    /// The address with these two halves.
    @inlinable
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads sixteen octets at `offset`; traps beyond the span.
    @inlinable
    package init(_ bytes: Span<UInt8>, at offset: Int) {
        high = bytes.bigEndian(at: offset)
        low = bytes.bigEndian(at: offset &+ 8)
    }

    /// The IPv4-mapped form `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
    @inlinable
    package init(mapping address: IPv4Address) {
        high = 0
        low = 0xFFFF_0000_0000 | UInt64(address.rawValue)
    }

    /// Parses RFC 4291 text, a trailing dotted IPv4 part included; zones are refused.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.contains(46) else {
            self.init(groups: text.utf8)
            return
        }
        guard let colon = text.lastColon,
            let ipv4 = IPv4Address(text[text.utf8.index(after: colon)...])
        else { return nil }
        let tail = "\(String(ipv4.rawValue >> 16, radix: 16)):\(String(ipv4.rawValue & 0xFFFF, radix: 16))"
        self.init(groups: (String(text[...colon]) + tail).utf8)
    }

    // One walk over the octets: a big network map has tens of thousands of addresses.
    private init?(groups text: some Sequence<UInt8>) {
        var groups = InlineArray<8, UInt64>(repeating: 0)
        var (count, gap) = (0, -1)
        var (group, digits, colons): (UInt64, Int, Int) = (0, 0, 0)
        var isAtStart = true
        for octet in text {
            if octet == 58 {
                if digits > 0 {
                    guard count < 8 else { return nil }
                    groups[count] = group
                    (count, group, digits, colons) = (count + 1, 0, 0, 1)
                } else if colons == 1, gap < 0 {
                    (gap, colons) = (count, 2)
                } else if isAtStart {
                    colons = 1
                } else {
                    return nil
                }
            } else {
                // A single colon cannot begin an address.
                guard let digit = Self.digit(octet), digits < 4, colons != 1 || count > 0 else { return nil }
                (group, digits, colons) = (group << 4 | digit, digits + 1, 0)
            }
            isAtStart = false
        }
        if digits > 0 {
            guard count < 8 else { return nil }
            groups[count] = group
            count += 1
        } else if colons != 2 {
            return nil
        }
        guard gap < 0 ? count == 8 : count <= 7 else { return nil }
        var (high, low): (UInt64, UInt64) = (0, 0)
        for index in 0..<count {
            let place = gap < 0 || index < gap ? index : 8 - (count - index)
            let value = groups[index] << UInt64(48 - 16 * (place & 3))
            if place < 4 { high |= value } else { low |= value }
        }
        self.init(high: high, low: low)
    }

    private static func digit(_ octet: UInt8) -> UInt64? {
        switch octet {
        case 48...57: UInt64(octet - 48)
        case 65...70: UInt64(octet - 55)
        case 97...102: UInt64(octet - 87)
        default: nil
        }
    }

    /// `::`.
    package static let unspecified = IPv6Address(high: 0, low: 0)
    /// `::1`.
    package static let loopback = IPv6Address(high: 0, low: 1)

    /// `::`.
    @inlinable package var isUnspecified: Bool { high == 0 && low == 0 }
    /// `::1`.
    @inlinable package var isLoopback: Bool { high == 0 && low == 1 }
    /// fe80::/10.
    @inlinable package var isLinkLocal: Bool { high >> 54 == 0x3FA }
    /// ff00::/8.
    @inlinable package var isMulticast: Bool { high >> 56 == 0xFF }
    /// fc00::/7 (RFC 4193).
    @inlinable package var isUniqueLocal: Bool { high >> 57 == 0x7E }
    /// The address inside `::ffff:0:0/96`, if it is one.
    @inlinable package var mappedIPv4: IPv4Address? {
        high == 0 && low >> 32 == 0xFFFF ? IPv4Address(rawValue: UInt32(truncatingIfNeeded: low)) : nil
    }

    /// Stores the sixteen octets at `offset`; traps beyond the span.
    @inlinable
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        span.store(bigEndian: high, at: offset)
        span.store(bigEndian: low, at: offset &+ 8)
    }
}

extension IPv6Address: Comparable {
    /// Numeric order.
    @inlinable
    package static func < (lhs: Self, rhs: Self) -> Bool { (lhs.high, lhs.low) < (rhs.high, rhs.low) }
}

extension IPv6Address: CustomStringConvertible {
    /// The canonical text of RFC 5952; IPv4-mapped addresses end in dotted decimal.
    package var description: String {
        if let ipv4 = mappedIPv4 { return "::ffff:\(ipv4)" }
        let groups = (0..<8).map { index in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64((3 - index % 4) * 16))
        }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > best.count { best = start..<end }
            start = max(end, start + 1)
        }
        let text = groups.map { String($0, radix: 16) }
        guard best.count >= 2 else { return text.joined(separator: ":") }
        return text[..<best.lowerBound].joined(separator: ":") + "::" + text[best.upperBound...].joined(separator: ":")
    }
}

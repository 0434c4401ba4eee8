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
        var text = String(text)
        guard !text.isEmpty, text.utf8.count <= 45 else { return nil }
        if text.contains(".") {
            guard let colon = text.lastIndex(of: ":"), let ipv4 = IPv4Address(text[text.index(after: colon)...]) else {
                return nil
            }
            text =
                text[...colon] + String(ipv4.rawValue >> 16, radix: 16) + ":"
                + String(ipv4.rawValue & 0xFFFF, radix: 16)
        }
        let groups: [UInt16]
        if let gap = text.firstRange(of: "::") {
            guard let head = Self.groups(text[..<gap.lowerBound]), let tail = Self.groups(text[gap.upperBound...]),
                head.count + tail.count <= 7
            else { return nil }
            groups = head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
        } else {
            guard let all = Self.groups(text[...]), all.count == 8 else { return nil }
            groups = all
        }
        high = groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }
        low = groups[4...].reduce(0) { $0 << 16 | UInt64($1) }
    }

    private static func groups(_ text: Substring) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var groups: [UInt16] = []
        for part in text.split(separator: ":", omittingEmptySubsequences: false) {
            guard (1...4).contains(part.utf8.count), part.first != "+", part.first != "-",
                let group = UInt16(part, radix: 16)
            else { return nil }
            groups.append(group)
        }
        return groups
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

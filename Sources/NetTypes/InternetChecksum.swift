/// The ones'-complement checksum of IP, UDP, TCP and ICMP (RFC 1071), summed piece by piece.
///
/// Every piece but the last must have an even number of octets.
package struct InternetChecksum: Sendable {
    /// The sum so far, its carries not yet folded in.
    @usableFromInline
    var sum: UInt64 = 0

    /// An empty sum.
    @inlinable
    package init() {}

    /// Adds the octets of `bytes`; an odd last octet counts as the high half of a word.
    @inlinable
    package mutating func add(_ bytes: Span<UInt8>) {
        var index = 0
        let evenCount = bytes.count & ~1
        while index < evenCount {
            sum &+= UInt64(bytes[index]) << 8 | UInt64(bytes[index &+ 1])
            index &+= 2
        }
        if index < bytes.count { sum &+= UInt64(bytes[index]) << 8 }
    }

    /// Adds one 16-bit word, as for a pseudo header.
    @inlinable
    package mutating func add(word: UInt16) {
        sum &+= UInt64(word)
    }

    /// Adds an address as a pseudo header does.
    @inlinable
    package mutating func add(_ address: IPv4Address) {
        sum &+= UInt64(address.rawValue >> 16) &+ UInt64(address.rawValue & 0xFFFF)
    }

    /// Adds an address as a pseudo header does.
    @inlinable
    package mutating func add(_ address: IPv6Address) {
        add(half: address.high)
        add(half: address.low)
    }

    /// Adds eight octets at once.
    @usableFromInline
    mutating func add(half: UInt64) {
        sum &+= (half >> 48) &+ (half >> 32 & 0xFFFF) &+ (half >> 16 & 0xFFFF) &+ (half & 0xFFFF)
    }

    /// The finished checksum, to be stored big-endian; a correct message sums to zero.
    @inlinable
    package var value: UInt16 {
        var folded = sum
        while folded > 0xFFFF { folded = (folded & 0xFFFF) &+ (folded >> 16) }
        return ~UInt16(truncatingIfNeeded: folded)
    }

    /// The checksum of one contiguous message.
    @inlinable
    package static func of(_ bytes: Span<UInt8>) -> UInt16 {
        var checksum = InternetChecksum()
        checksum.add(bytes)
        return checksum.value
    }
}

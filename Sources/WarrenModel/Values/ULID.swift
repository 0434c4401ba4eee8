/// A 128-bit identifier that sorts by its time of making: 48 bits of milliseconds, 80 random bits.
package struct ULID: Hashable, Sendable, Comparable {
    /// The first eight octets: the time and sixteen random bits.
    package let high: UInt64
    /// The last eight octets.
    package let low: UInt64

    /// How many characters the text has.
    package static let textCount = 26

    /// The identifier with these two halves.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A fresh identifier of the moment `now`.
    package init(now: Timestamp, using generator: inout some RandomNumberGenerator) {
        let milliseconds = UInt64(clamping: now.millisecondsSinceEpoch) & 0xFFFF_FFFF_FFFF
        high = milliseconds << 16 | UInt64(UInt16.random(in: .min ... .max, using: &generator))
        low = generator.next()
    }

    /// Reads 26 characters of Crockford's base 32 in lower case, the one spelling that is written.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == Self.textCount else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for (index, byte) in text.utf8.enumerated() {
            guard let digit = Self.alphabet.firstIndex(of: byte), index > 0 || digit < 8 else { return nil }
            high = high << 5 | low >> 59
            low = low << 5 | UInt64(digit)
        }
        self.init(high: high, low: low)
    }

    /// The moment of making.
    package var timestamp: Timestamp { Timestamp(millisecondsSinceEpoch: Int64(high >> 16)) }

    /// Order of making, to the millisecond.
    package static func < (lhs: Self, rhs: Self) -> Bool { (lhs.high, lhs.low) < (rhs.high, rhs.low) }

    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
}

extension ULID: CustomStringConvertible {
    /// 26 characters of Crockford's base 32 in lower case.
    package var description: String {
        var octets = [UInt8](repeating: 0, count: Self.textCount)
        var high = high
        var low = low
        for index in octets.indices.reversed() {
            octets[index] = Self.alphabet[Int(low & 31)]
            low = low >> 5 | high << 59
            high >>= 5
        }
        return String(decoding: octets, as: UTF8.self)
    }
}

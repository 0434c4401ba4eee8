import NetTypes

/// The twelve random octets that tie a pong (or a STUN answer) to its question.
package struct TransactionID: Hashable, Sendable {
    /// The first eight octets in network order.
    package let high: UInt64
    /// The last four octets in network order.
    package let low: UInt32

    /// 12 octets on the wire.
    package static let byteCount = 12

    /// The transaction with these two halves.
    package init(high: UInt64, low: UInt32) {
        self.high = high
        self.low = low
    }

    /// Draws a fresh transaction.
    package init(using generator: inout some RandomNumberGenerator) {
        high = generator.next()
        low = UInt32(truncatingIfNeeded: generator.next() as UInt64)
    }

    /// Reads twelve octets at `offset`; traps beyond the span.
    package init(_ bytes: Span<UInt8>, at offset: Int) {
        high = bytes.bigEndian(at: offset)
        low = bytes.bigEndian(at: offset + 8)
    }

    /// Appends the twelve octets; traps when there is no room.
    package func append(to output: inout OutputRawSpan) {
        output.append(bigEndian: high)
        output.append(bigEndian: low)
    }
}

extension TransactionID: CustomStringConvertible {
    /// 24 lower-case hex digits.
    package var description: String {
        let octets = String(high, radix: 16)
        let rest = String(low, radix: 16)
        return String(repeating: "0", count: 16 - octets.count) + octets
            + String(repeating: "0", count: 8 - rest.count) + rest
    }
}

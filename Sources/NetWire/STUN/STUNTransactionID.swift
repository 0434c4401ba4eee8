import NetTypes

/// Joins a STUN response to its request: 12 random octets.
package struct STUNTransactionID: Hashable, Sendable {
    /// 12 octets.
    package static let byteCount = 12

    /// The first eight octets, big-endian.
    package let high: UInt64
    /// The last four octets, big-endian.
    package let low: UInt32

    /// The identifier of these halves.
    package init(high: UInt64, low: UInt32) {
        self.high = high
        self.low = low
    }

    /// A fresh identifier.
    package init(using generator: inout some RandomNumberGenerator) {
        self.init(high: generator.next(), low: generator.next())
    }

    /// Reads twelve octets at `offset`; traps beyond the span.
    package init(_ bytes: Span<UInt8>, at offset: Int) {
        self.init(high: bytes.bigEndian(at: offset), low: bytes.bigEndian(at: offset + 8))
    }

    /// Stores twelve octets at `offset`; traps beyond the span.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        span.store(bigEndian: high, at: offset)
        span.store(bigEndian: low, at: offset + 8)
    }
}

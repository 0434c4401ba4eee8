package import NetTypes

/// The timestamp of an initiation (TAI64N): twelve octets that compare like the times they stand for.
///
/// | offset | octets | field |
/// | --- | --- | --- |
/// | 0 | 8 | seconds since 1970 plus 2^62 + 10, big-endian |
/// | 8 | 4 | nanoseconds, big-endian |
package struct TAI64N: Hashable, Sendable {
    /// The length on the wire.
    package static let byteCount = 12
    private static let base: UInt64 = (1 << 62) + 10

    private let seconds: UInt64
    private let nanoseconds: UInt32

    /// The stamp of a Unix time; the low 24 bits of the nanoseconds are cleared, so that it tells little about
    /// the clock (wireguard-go `tai64n`).
    package init(unixSeconds: UInt64, nanoseconds: UInt32) {
        seconds = Self.base &+ unixSeconds
        self.nanoseconds = nanoseconds & ~0xFF_FFFF
    }

    /// Reads twelve octets at `offset`; traps beyond the span.
    init(_ bytes: Span<UInt8>, at offset: Int) {
        seconds = bytes.bigEndian(at: offset)
        nanoseconds = bytes.bigEndian(at: offset + 8)
    }

    /// Earlier than every real stamp.
    static let distantPast = TAI64N(seconds: 0, nanoseconds: 0)

    private init(seconds: UInt64, nanoseconds: UInt32) {
        (self.seconds, self.nanoseconds) = (seconds, nanoseconds)
    }

    /// The twelve octets.
    package var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        var elements = bytes.mutableSpan
        var octets = unsafe elements.mutableBytes
        octets.store(bigEndian: seconds, at: 0)
        octets.store(bigEndian: nanoseconds, at: 8)
        return bytes
    }
}

extension TAI64N: Comparable {
    /// Order in time.
    package static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.seconds, lhs.nanoseconds) < (rhs.seconds, rhs.nanoseconds)
    }
}

/// Turns the monotonic time that the device is told into timestamps of the calendar.
///
/// Anchored once, so that a wall clock that steps back while the device lives makes no stale timestamps.
package struct TimestampClock: Sendable {
    private let anchor: MonotonicTime
    private let unixNanoseconds: UInt64

    /// Ties the monotonic time `anchor` to nanoseconds since 1970.
    package init(anchor: MonotonicTime, unixNanoseconds: UInt64) {
        (self.anchor, self.unixNanoseconds) = (anchor, unixNanoseconds)
    }

    /// The timestamp at `now`.
    package func timestamp(at now: MonotonicTime) -> TAI64N {
        let elapsed = now.nanoseconds >= anchor.nanoseconds ? now.nanoseconds - anchor.nanoseconds : 0
        let (total, overflow) = unixNanoseconds.addingReportingOverflow(elapsed)
        let nanoseconds = overflow ? .max : total
        return TAI64N(
            unixSeconds: nanoseconds / 1_000_000_000,
            nanoseconds: UInt32(nanoseconds % 1_000_000_000)
        )
    }
}

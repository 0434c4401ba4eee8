/// A point on a clock that only moves forward, as the pure state machines are told it.
///
/// The origin is the caller's: what counts is that one machine is always told the same clock.
package struct MonotonicTime: Hashable, Sendable {
    /// Nanoseconds since the clock's origin.
    package let nanoseconds: UInt64

    /// The point this many nanoseconds after the clock's origin.
    @inlinable
    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// The clock's origin.
    package static let zero = MonotonicTime(nanoseconds: 0)
    /// Later than every other point.
    package static let distantFuture = MonotonicTime(nanoseconds: .max)

    /// The later point; stays within the range of the clock.
    package static func + (lhs: Self, rhs: Duration) -> Self {
        let change = rhs.wholeNanoseconds
        if change < 0 {
            let magnitude = change.magnitude
            return Self(nanoseconds: lhs.nanoseconds < magnitude ? 0 : lhs.nanoseconds - magnitude)
        }
        let (sum, overflow) = lhs.nanoseconds.addingReportingOverflow(UInt64(change))
        return Self(nanoseconds: overflow ? .max : sum)
    }

    /// The earlier point; stays within the range of the clock.
    package static func - (lhs: Self, rhs: Duration) -> Self { lhs + (.zero - rhs) }

    /// How much later `lhs` is than `rhs`.
    package static func - (lhs: Self, rhs: Self) -> Duration {
        lhs >= rhs
            ? .nanoseconds(Int64(clamping: lhs.nanoseconds - rhs.nanoseconds))
            : .zero - .nanoseconds(Int64(clamping: rhs.nanoseconds - lhs.nanoseconds))
    }
}

extension MonotonicTime: Comparable {
    /// Order in time.
    @inlinable
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.nanoseconds < rhs.nanoseconds }
}

extension Duration {
    /// The duration in nanoseconds, cut to the range of the result.
    package var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, carried) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }
}

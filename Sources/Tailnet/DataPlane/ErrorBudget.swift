import NetTypes

/// How many errors may be told to whoever causes them: a burst at once, then a hundred a second.
///
/// A browser that tries two families and several addresses at a time is told about each; who floods is not answered
/// packet by packet.
struct ErrorBudget {
    private static let interval = Duration.milliseconds(10)
    private static let burst = Duration.milliseconds(640)

    /// When all that was spent is made up for.
    private var settledAt = MonotonicTime.zero

    /// Whether another error may be told; if so, it counts.
    mutating func spend(at now: MonotonicTime) -> Bool {
        let start = max(settledAt.nanoseconds, now.nanoseconds)
        guard MonotonicTime(nanoseconds: start) - now < Self.burst else { return false }
        settledAt = MonotonicTime(nanoseconds: start) + Self.interval
        return true
    }
}

/// When a delivery that failed is tried again.
package struct RetrySchedule: Sendable {
    /// What to wait after each failed attempt: the schedule that Standard Webhooks recommends.
    package static let delays: [Duration] = [
        .seconds(5), .seconds(30), .seconds(5 * 60), .seconds(30 * 60), .seconds(2 * 3600), .seconds(5 * 3600),
        .seconds(10 * 3600), .seconds(14 * 3600), .seconds(20 * 3600), .seconds(24 * 3600),
    ]
    /// How much longer or shorter a wait may be, so that receivers that come back are not hit by all at once.
    package static let jitter = 0.1
    /// The longest wait that a receiver may ask for.
    package static let longestRetryAfter = Duration.seconds(24 * 3600)

    /// How long to wait after the attempt numbered `attempts`, counted from 1; nil means giving up.
    ///
    /// `random` is a number from 0 to 1; `retryAfter` is what the receiver asked for, and never shortens the wait.
    package static func delay(afterAttempts attempts: Int, retryAfter: Duration?, random: Double) -> Duration? {
        guard attempts >= 1, attempts <= delays.count else { return nil }
        let factor = 1 + jitter * (2 * min(max(random, 0), 1) - 1)
        return max(delays[attempts - 1] * factor, min(retryAfter ?? .zero, longestRetryAfter))
    }
}

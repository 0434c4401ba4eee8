/// The wait after consecutive failures: `min(n² × 10 ms, 30 s)` times a random factor in 0.5 ..< 1.5 (tailscale `logtail/backoff`).
package struct Backoff: Equatable, Sendable {
    /// How many failures happened in a row.
    package private(set) var failures = 0
    private let cap: Duration

    /// No failures yet; DERP uses a cap of 5 s, control the default.
    package init(cap: Duration = .seconds(30)) {
        self.cap = cap
    }

    /// Counts a failure and returns how long to wait before the next attempt.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        failures = min(failures + 1, 1 << 16)
        let base = min(.milliseconds(10 * failures * failures), cap)
        return base * Double.random(in: 0.5..<1.5, using: &generator)
    }

    /// Forgets the failures after a success.
    package mutating func reset() {
        failures = 0
    }
}

import Tailcfg

/// How often one machine may register: a bucket that refills over time.
struct RegisterThrottle: Sendable {
    private var tokens = CoordinationDefaults.registerBurst
    private(set) var updated: ControlTime

    init(now: ControlTime) { updated = now }

    /// Takes one token; returns the seconds to wait when there is none.
    mutating func take(now: ControlTime) -> Int? {
        let elapsed = Double(max(0, now.seconds - updated.seconds))
        tokens = min(
            CoordinationDefaults.registerBurst,
            tokens + elapsed * CoordinationDefaults.registerPerMinute / 60
        )
        updated = now
        guard tokens < 1 else {
            tokens -= 1
            return nil
        }
        return max(1, Int(((1 - tokens) * 60 / CoordinationDefaults.registerPerMinute).rounded(.up)))
    }

    /// Whether the bucket is as good as new.
    func isFull(now: ControlTime) -> Bool {
        Double(now.seconds - updated.seconds) * CoordinationDefaults.registerPerMinute / 60
            >= CoordinationDefaults.registerBurst
    }
}

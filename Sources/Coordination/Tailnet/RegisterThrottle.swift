import Tailcfg

/// How often one machine or address may register: a bucket that refills over time.
struct RegisterThrottle: Sendable {
    private let burst: Double
    private let perMinute: Double
    private var tokens: Double
    private(set) var updated: ControlTime

    private init(burst: Double, perMinute: Double, now: ControlTime) {
        self.burst = burst
        self.perMinute = perMinute
        tokens = burst
        updated = now
    }

    /// The bucket of one machine.
    static func ofMachine(now: ControlTime) -> RegisterThrottle {
        RegisterThrottle(
            burst: CoordinationDefaults.registerBurst,
            perMinute: CoordinationDefaults.registerPerMinute,
            now: now
        )
    }

    /// The bucket of one address.
    static func ofAddress(now: ControlTime) -> RegisterThrottle {
        let rate = CoordinationDefaults.registerPerMinuteOfAddress
        return RegisterThrottle(burst: rate, perMinute: rate, now: now)
    }

    /// Takes one token; returns the seconds to wait when there is none.
    mutating func take(now: ControlTime) -> Int? {
        let elapsed = Double(max(0, now.seconds - updated.seconds))
        tokens = min(burst, tokens + elapsed * perMinute / 60)
        updated = now
        guard tokens < 1 else {
            tokens -= 1
            return nil
        }
        return max(1, Int(((1 - tokens) * 60 / perMinute).rounded(.up)))
    }

    /// Whether the bucket is as good as new.
    func isFull(now: ControlTime) -> Bool {
        tokens + Double(now.seconds - updated.seconds) * perMinute / 60 >= burst
    }
}

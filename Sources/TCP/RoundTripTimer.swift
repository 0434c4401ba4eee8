import NetTypes

/// How long to wait for an acknowledgement (RFC 6298).
struct RoundTripTimer: Sendable {
    /// The wait before something is sent again.
    private(set) var timeout = TCPConstants.initialTimeout
    private var smoothed: Duration?
    private var variation: Duration = .zero
    // One octet is timed at a time, and none that was sent twice (Karn's algorithm).
    private var measured: (end: UInt32, sentAt: MonotonicTime)?

    /// Notes that octets up to `end` are sent for the first time.
    mutating func sent(upTo end: UInt32, now: MonotonicTime) {
        if measured == nil { measured = (end, now) }
    }

    /// Notes that everything up to `number` has arrived.
    mutating func acknowledged(_ number: UInt32, now: MonotonicTime) {
        guard let measured, !precedes(number, measured.end) else { return }
        self.measured = nil
        let sample = now - measured.sentAt
        if let smoothed {
            let difference = smoothed > sample ? smoothed - sample : sample - smoothed
            variation = variation * 3 / 4 + difference / 4
            self.smoothed = smoothed * 7 / 8 + sample / 8
        } else {
            smoothed = sample
            variation = sample / 2
        }
        let wanted = (smoothed ?? sample) + max(variation * 4, .milliseconds(1))
        timeout = min(max(wanted, TCPDefaults.minimumTimeout), TCPConstants.maximumTimeout)
    }

    /// Notes that something is sent again: nothing is measured by it, and the next wait is twice as long.
    mutating func expired() {
        measured = nil
        timeout = min(timeout * 2, TCPConstants.maximumTimeout)
    }

    /// Notes that something is sent again without having waited.
    mutating func forget() { measured = nil }
}

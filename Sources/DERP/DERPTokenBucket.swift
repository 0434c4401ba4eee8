import NIOCore

/// The rate at which a server lets a client send; what exceeds it is dropped before it is written.
struct DERPTokenBucket {
    private let octetsPerSecond: Double
    private let burst: Double
    private var available: Double
    private var filledAt: NIODeadline

    /// The bucket that a server announces; nil when it announces none, or none that could ever let a packet through.
    init?(_ info: DERPServerInfo, now: NIODeadline) {
        guard let rate = info.tokenBucketBytesPerSecond, rate > 0,
            let burst = info.tokenBucketBytesBurst, burst > 0
        else { return nil }
        octetsPerSecond = Double(rate)
        self.burst = Double(burst)
        available = Double(burst)
        filledAt = now
    }

    /// Takes the tokens for a whole frame; false when there are not enough.
    mutating func take(_ byteCount: Int, now: NIODeadline) -> Bool {
        let elapsed = Double((now - filledAt).nanoseconds) / 1e9
        available = min(burst, available + elapsed * octetsPerSecond)
        filledAt = now
        guard available >= Double(byteCount) else { return false }
        available -= Double(byteCount)
        return true
    }
}

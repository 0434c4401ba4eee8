import NetTypes

/// Tells whether handshake messages come too fast, and then limits each source; its memory is fixed.
struct HandshakeLoad {
    private let limit: Int
    private var windowStart = MonotonicTime.zero
    private var countInWindow = 0
    private var loadedUntil = MonotonicTime.zero
    // When each bucket will have paid for what it sent; made at the first load.
    private var buckets: [MonotonicTime] = []
    private let seed: UInt64

    /// Allows `limit` handshake messages a second; `seed` hides which sources share a bucket.
    init(limit: Int, seed: UInt64) {
        (self.limit, self.seed) = (limit, seed)
    }

    /// Counts a message and tells whether cookies are to be asked for.
    mutating func isUnderLoad(at now: MonotonicTime) -> Bool {
        if now - windowStart >= .seconds(1) {
            windowStart = now
            countInWindow = 0
        }
        countInWindow += 1
        if countInWindow > limit { loadedUntil = now + WireGuardDefaults.loadMemory }
        return now < loadedUntil
    }

    /// Whether a source that proved its address may be answered now.
    mutating func admits(_ source: IPAddress, at now: MonotonicTime) -> Bool {
        if buckets.isEmpty { buckets = Array(repeating: .zero, count: WireGuardDefaults.sourceBucketCount) }
        let address = source.mapped
        // IPv6 sources are counted by their /64, of which one host usually has all.
        let host = source.isIPv4 ? address.low : address.high
        var hash = (host ^ seed) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
        let place = Int(hash % UInt64(buckets.count))
        let spacing = WireGuardDefaults.sourceSpacing
        guard buckets[place] <= now + spacing * (WireGuardDefaults.sourceBurst - 1) else { return false }
        buckets[place] = max(buckets[place], now) + spacing
        return true
    }
}

import NetTypes
import NetWire

/// Names one direction of a UDP or SCTP conversation.
struct FlowKey: Equatable, Sendable {
    fileprivate var source = IPv6Address.unspecified
    fileprivate var destination = IPv6Address.unspecified
    fileprivate var ports: UInt32 = 0
    /// Protocol and version, because IPv4 addresses are held in their IPv6 form.
    fileprivate var kind: UInt16 = 0

    fileprivate init() {}

    /// The direction in which the packet travels.
    init(of packet: ParsedPacket) {
        source = packet.source.mapped
        destination = packet.destination.mapped
        ports = UInt32(packet.sourcePort) << 16 | UInt32(packet.destinationPort)
        kind = UInt16(packet.ipProtocol.rawValue) << 8 | UInt16(packet.version)
    }

    /// The direction in which the answer to the packet travels.
    init(answering packet: ParsedPacket) {
        source = packet.destination.mapped
        destination = packet.source.mapped
        ports = UInt32(packet.destinationPort) << 16 | UInt32(packet.sourcePort)
        kind = UInt16(packet.ipProtocol.rawValue) << 8 | UInt16(packet.version)
    }

    fileprivate func hash(_ seed: UInt64) -> UInt64 {
        var hash = seed ^ UInt64(ports) << 16 ^ UInt64(kind)
        Self.mix(source.high, into: &hash)
        Self.mix(source.low, into: &hash)
        Self.mix(destination.high, into: &hash)
        Self.mix(destination.low, into: &hash)
        return hash &* 0x9E37_79B9_7F4A_7C15
    }

    private static func mix(_ word: UInt64, into hash: inout UInt64) {
        // The odd multiplier of Fibonacci hashing; the shift carries the high bits down again.
        hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
    }
}

/// The conversations that were active last: a hash table and a list by age in arrays that never grow.
struct FlowTable: Sendable {
    /// As many as Tailscale's client remembers.
    static let capacity = 512
    // Twice the flows keeps the chains short.
    private static let bucketBits = 10
    private static let none = UInt16.max

    private let seed: UInt64
    // Made with the first flow: many nodes never have one.
    private var keys: [FlowKey] = []
    private var newer: [UInt16] = []
    private var older: [UInt16] = []
    private var nextInBucket: [UInt16] = []
    private var buckets: [UInt16] = []
    private var newest = none
    private var oldest = none
    /// How many flows are remembered.
    private(set) var count = 0

    /// An empty table; the seed keeps others from choosing flows that collide.
    init(seed: UInt64) { self.seed = seed }

    /// Forgets every flow.
    mutating func removeAll() {
        for index in buckets.indices { buckets[index] = Self.none }
        newest = Self.none
        oldest = Self.none
        count = 0
    }

    /// Remembers the flow as the one used last, in place of the one unused for longest when the table is full.
    mutating func insert(_ key: FlowKey) {
        if keys.isEmpty { makeRoom() }
        let bucket = self.bucket(of: key)
        var index = find(key, in: bucket)
        if index != Self.none {
            unlink(index)
        } else {
            if count < Self.capacity {
                index = UInt16(count)
                count &+= 1
            } else {
                index = oldest
                unlink(index)
                removeFromBucket(index)
            }
            keys[Int(index)] = key
            nextInBucket[Int(index)] = buckets[bucket]
            buckets[bucket] = index
        }
        linkAsNewest(index)
    }

    private mutating func makeRoom() {
        keys = [FlowKey](repeating: FlowKey(), count: Self.capacity)
        newer = [UInt16](repeating: Self.none, count: Self.capacity)
        older = newer
        nextInBucket = newer
        buckets = [UInt16](repeating: Self.none, count: 1 << Self.bucketBits)
    }

    /// Whether the flow is remembered; if so, it counts as the one used last.
    mutating func refresh(_ key: FlowKey) -> Bool {
        guard count > 0 else { return false }
        let index = find(key, in: bucket(of: key))
        guard index != Self.none else { return false }
        if index != newest {
            unlink(index)
            linkAsNewest(index)
        }
        return true
    }

    private func bucket(of key: FlowKey) -> Int { Int(key.hash(seed) >> UInt64(64 - Self.bucketBits)) }

    private func find(_ key: FlowKey, in bucket: Int) -> UInt16 {
        var index = buckets[bucket]
        while index != Self.none, keys[Int(index)] != key { index = nextInBucket[Int(index)] }
        return index
    }

    private mutating func removeFromBucket(_ removed: UInt16) {
        let bucket = self.bucket(of: keys[Int(removed)])
        let next = nextInBucket[Int(removed)]
        if buckets[bucket] == removed {
            buckets[bucket] = next
            return
        }
        var index = buckets[bucket]
        while nextInBucket[Int(index)] != removed { index = nextInBucket[Int(index)] }
        nextInBucket[Int(index)] = next
    }

    private mutating func unlink(_ index: UInt16) {
        let after = newer[Int(index)]
        let before = older[Int(index)]
        if after == Self.none { newest = before } else { older[Int(after)] = before }
        if before == Self.none { oldest = after } else { newer[Int(before)] = after }
    }

    private mutating func linkAsNewest(_ index: UInt16) {
        older[Int(index)] = newest
        newer[Int(index)] = Self.none
        if newest == Self.none { oldest = index } else { newer[Int(newest)] = index }
        newest = index
    }
}

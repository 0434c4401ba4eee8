import NetTypes
import NetWire

@testable import TCP

/// A small reproducible generator (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// Two ends with a network between them that loses, doubles and delays packets, under a clock of its own.
struct TCPPair {
    static let client = AddressPort(.v4(IPv4Address(100, 64, 0, 1)), port: 40_000)
    static let server = AddressPort(.v4(IPv4Address(100, 64, 0, 2)), port: 53)

    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    var client: TCPConnection
    var server: TCPConnection?
    var lossPercent = 0
    var doublingPercent = 0
    var reorderingPercent = 0
    var generator: SeededGenerator
    var delivered = 0
    private var wire: [(at: MonotonicTime, order: Int, toServer: Bool, packet: [UInt8])] = []
    private var sent = 0

    init(seed: UInt64 = 1, receiveCapacity: Int = TCPDefaults.bufferByteCount, initialSequence: UInt32 = 0xFFFF_FF00) {
        generator = SeededGenerator(seed: seed)
        capacity = receiveCapacity
        client = TCPConnection(
            from: Self.client,
            to: Self.server,
            initialSequence: initialSequence,
            mtu: 1280,
            receiveCapacity: receiveCapacity,
            now: now
        )
    }

    private let capacity: Int

    /// Moves packets and clock until `isDone`, or for `limit` of virtual time; whether it was done.
    mutating func run(for limit: Duration = .seconds(600), until isDone: (inout TCPPair) -> Bool) -> Bool {
        let end = now + limit
        while now <= end {
            collect()
            if isDone(&self) { return true }
            collect()
            var next = wire.map(\.at).min()
            for deadline in [client.nextDeadline, server?.nextDeadline] {
                if let deadline { next = min(next ?? deadline, deadline) }
            }
            guard let next, next <= end else { return isDone(&self) }
            now = max(now, next)
            deliverDue()
            client.tick(now: now)
            server?.tick(now: now)
        }
        return false
    }

    private mutating func collect() {
        for packet in client.takeOutgoing(now: now) { send(packet, toServer: true) }
        for packet in server?.takeOutgoing(now: now) ?? [] { send(packet, toServer: false) }
    }

    private mutating func send(_ packet: [UInt8], toServer: Bool) {
        let copies = chance(lossPercent) ? 0 : chance(doublingPercent) ? 2 : 1
        for _ in 0..<copies {
            let delay: Duration = .milliseconds(chance(reorderingPercent) ? 45 : 10)
            sent += 1
            wire.append((now + delay, sent, toServer, packet))
        }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &generator) < percent }

    private mutating func deliverDue() {
        let due = wire.filter { $0.at <= now }.sorted { ($0.at, $0.order) < ($1.at, $1.order) }
        wire.removeAll { $0.at <= now }
        for item in due {
            guard let parsed = try? ParsedPacket(parsing: item.packet.span),
                let segment = TCPSegment(parsing: item.packet.span, parsed)
            else { continue }
            delivered += 1
            if !item.toServer {
                client.receive(segment, now: now)
            } else if server != nil {
                server?.receive(segment, now: now)
            } else {
                server = TCPConnection(
                    accepting: segment,
                    at: Self.server,
                    from: Self.client,
                    initialSequence: 0x7FFF_FFF0,
                    mtu: 1280,
                    receiveCapacity: capacity,
                    now: now
                )
            }
        }
    }
}

/// Packets that wait for a session, oldest first, at most 128.
struct PacketQueue {
    private var packets: [[UInt8]] = []
    // Where the oldest is, once the ring is full.
    private var head = 0
    /// Octets of all packets.
    private(set) var byteCount = 0

    /// Whether nothing waits.
    var isEmpty: Bool { packets.isEmpty }
    /// How many packets wait.
    var count: Int { packets.count }

    /// Adds a packet; returns the length of the oldest one if that had to go.
    mutating func append(_ packet: [UInt8]) -> Int? {
        byteCount += packet.count
        guard packets.count == WireGuardConstants.queuedPacketCount else {
            packets.append(packet)
            return nil
        }
        let lost = packets[head].count
        byteCount -= lost
        packets[head] = packet
        head = (head + 1) % packets.count
        return lost
    }

    /// Empties the queue and returns its packets, oldest first.
    mutating func takeAll() -> [[UInt8]] {
        let ordered = Array(packets[head...] + packets[..<head])
        self = PacketQueue()
        return ordered
    }
}

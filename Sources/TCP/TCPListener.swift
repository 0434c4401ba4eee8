package import NetTypes
package import NetWire

/// The connections that others have opened to one port of ours: a bounded number of them, whatever arrives.
package struct TCPListener: Sendable {
    /// Counts the connections.
    package typealias ID = UInt64

    /// How many connections there may be.
    package let capacity: Int
    /// Packets that wait to be sent.
    private var outgoing: [[UInt8]] = []
    private var connections: [ID: TCPConnection] = [:]
    private var ids: [Key: ID] = [:]
    private var lastID: ID = 0
    private let mtu: Int
    private let sendCapacity: Int
    private let receiveCapacity: Int
    private var generator: any RandomNumberGenerator & Sendable

    private struct Key: Hashable {
        let local: AddressPort
        let remote: AddressPort
    }

    /// A listener without connections.
    ///
    /// - Parameters:
    ///   - capacity: How many connections there may be.
    ///   - mtu: The largest packet.
    ///   - sendCapacity: How much of each may wait to be sent.
    ///   - receiveCapacity: How much of each may wait to be read.
    ///   - generator: Where initial sequence numbers come from.
    package init(
        capacity: Int,
        mtu: Int,
        sendCapacity: Int,
        receiveCapacity: Int,
        generator: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    ) {
        self.capacity = capacity
        self.mtu = mtu
        self.sendCapacity = sendCapacity
        self.receiveCapacity = receiveCapacity
        self.generator = generator
    }

    /// How many connections there are.
    package var count: Int { connections.count }

    /// Whether there is still a connection of this number.
    package func contains(_ id: ID) -> Bool { connections[id] != nil }

    /// When `tick` is due.
    package var nextDeadline: MonotonicTime? { connections.values.lazy.compactMap(\.nextDeadline).min() }

    /// Takes a packet for the port; the number of the connection that may have something to read, or has ended.
    package mutating func receive(_ packet: Span<UInt8>, _ parsed: ParsedPacket, now: MonotonicTime) -> ID? {
        guard let segment = TCPSegment(parsing: packet, parsed) else { return nil }
        let key = Key(
            local: AddressPort(parsed.destination, port: parsed.destinationPort),
            remote: AddressPort(parsed.source, port: parsed.sourcePort)
        )
        if let id = ids[key] {
            connections[id]?.receive(segment, now: now)
            flush(id, now)
            return id
        }
        guard segment.flags.contains(.syn), segment.flags.isDisjoint(with: [.ack, .rst]) else {
            if let reset = segment.reset?.packet(from: key.local, to: key.remote) { outgoing.append(reset) }
            return nil
        }
        accept(segment, key, now)
        return nil
    }

    /// Lets the user at a connection, and sends what came of it; nil when it is gone.
    package mutating func use<Result>(
        _ id: ID,
        now: MonotonicTime,
        _ body: (inout TCPConnection) -> Result
    ) -> Result? {
        guard var connection = connections.removeValue(forKey: id) else { return nil }
        let result = body(&connection)
        connections[id] = connection
        flush(id, now)
        return result
    }

    /// Does what is due; the numbers of the connections that it concerned.
    package mutating func tick(now: MonotonicTime) -> [ID] {
        let due = connections.filter { $0.value.nextDeadline.map { $0 <= now } ?? false }.map(\.key)
        for id in due {
            connections[id]?.tick(now: now)
            flush(id, now)
        }
        return due
    }

    /// Hands over the packets to be sent.
    package mutating func takeOutgoing() -> [[UInt8]] {
        defer { outgoing.removeAll() }
        return outgoing
    }

    /// Forgets every connection without a word.
    package mutating func removeAll() {
        connections.removeAll()
        ids.removeAll()
        outgoing.removeAll()
    }

    private mutating func accept(_ syn: TCPSegment, _ key: Key, _ now: MonotonicTime) {
        if connections.count >= capacity {
            // A flood of SYNs pushes out SYNs, never a conversation; a SYN that finds no room is repeated by who means it.
            let oldest = connections.lazy.filter { $0.value.state == .synReceived || $0.value.state == .timeWait }
                .map(\.key).min()
            guard let oldest else { return }
            remove(oldest)
        }
        let connection = TCPConnection(
            accepting: syn,
            at: key.local,
            from: key.remote,
            initialSequence: .random(in: .min ... .max, using: &generator),
            mtu: mtu,
            sendCapacity: sendCapacity,
            receiveCapacity: receiveCapacity,
            now: now
        )
        guard let connection else { return }
        lastID += 1
        connections[lastID] = connection
        ids[key] = lastID
        flush(lastID, now)
    }

    private mutating func flush(_ id: ID, _ now: MonotonicTime) {
        guard let packets = connections[id]?.takeOutgoing(now: now) else { return }
        outgoing += packets
        if connections[id]?.state == .closed { remove(id) }
    }

    private mutating func remove(_ id: ID) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        ids[Key(local: connection.local, remote: connection.remote)] = nil
    }
}

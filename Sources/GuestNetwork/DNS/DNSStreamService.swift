import NetTypes
import NetWire
import TCP

/// The resolver's TCP port (RFC 7766): messages behind a length of two octets, many on one connection, answered as they come.
struct DNSStreamService {
    /// What a guest may have open at once.
    static let maximumConnections = 64
    /// The longest query, as of Tailscale's client.
    static let maximumQueryByteCount = 4096
    /// Queries of one connection that wait for answers; what follows them waits in the guest.
    static let maximumPending = 32
    /// How long a connection may be silent (RFC 7766 §6.2.3 wants some seconds).
    static let idleTimeout: Duration = .seconds(30)

    private struct Stream {
        var input: [UInt8] = []
        var pending = 0
        var idleAt: MonotonicTime
    }

    private var listener: TCPListener
    private var streams: [TCPListener.ID: Stream] = [:]

    /// A service without connections.
    init(mtu: Int) {
        listener = TCPListener(
            capacity: Self.maximumConnections,
            mtu: mtu,
            sendCapacity: TCPDefaults.bufferByteCount + 2,
            receiveCapacity: 2 * (Self.maximumQueryByteCount + 2)
        )
    }

    /// How many connections there are.
    var connectionCount: Int { listener.count }

    /// When `tick` is due.
    var nextDeadline: MonotonicTime? {
        let idle = streams.values.lazy.filter { $0.pending == 0 }.map(\.idleAt).min()
        guard let deadline = listener.nextDeadline else { return idle }
        return idle.map { min($0, deadline) } ?? deadline
    }

    /// Takes a packet for the port; the queries that only others can answer.
    ///
    /// `answer` decides about the octets of a query.
    mutating func receive(
        _ packet: Span<UInt8>,
        _ parsed: ParsedPacket,
        now: MonotonicTime,
        answer: (Span<UInt8>) -> MagicDNSResponder.Verdict
    ) -> [DNSQuery] {
        guard let id = listener.receive(packet, parsed, now: now) else { return [] }
        return serve(id, now, answer)
    }

    /// Sends the answer to a query of a stream; one for a stream that is gone is dropped.
    mutating func respond(
        to id: TCPListener.ID,
        message: [UInt8],
        now: MonotonicTime,
        answer: (Span<UInt8>) -> MagicDNSResponder.Verdict
    ) -> [DNSQuery] {
        guard streams[id] != nil else { return [] }
        streams[id]?.pending -= 1
        streams[id]?.idleAt = now + Self.idleTimeout
        send(message, to: id, now)
        // There may be queries that waited for room.
        return serve(id, now, answer)
    }

    /// Does what is due.
    mutating func tick(now: MonotonicTime) {
        for id in listener.tick(now: now) { forgetIfGone(id) }
        for (id, stream) in streams where stream.pending == 0 && stream.idleAt <= now {
            _ = listener.use(id, now: now) { $0.abort() }
            streams[id] = nil
        }
    }

    /// Hands over the packets for the guest.
    mutating func takeOutgoing() -> [[UInt8]] { listener.takeOutgoing() }

    private mutating func serve(
        _ id: TCPListener.ID,
        _ now: MonotonicTime,
        _ answer: (Span<UInt8>) -> MagicDNSResponder.Verdict
    ) -> [DNSQuery] {
        var stream = streams[id] ?? Stream(idleAt: now + Self.idleTimeout)
        var queries: [DNSQuery] = []
        var replies: [[UInt8]] = []
        var isBroken = false
        while stream.pending + replies.count < Self.maximumPending {
            if stream.input.count < 2 {
                // Read only what is worked on, so that a guest that asks faster than it is answered fills its own window.
                guard let octets = listener.use(id, now: now, { $0.read() }), !octets.isEmpty else { break }
                stream.input += octets
                continue
            }
            let count = Int(stream.input[0]) << 8 | Int(stream.input[1])
            guard (1...Self.maximumQueryByteCount).contains(count) else {
                isBroken = true
                break
            }
            guard stream.input.count >= 2 + count else {
                guard let octets = listener.use(id, now: now, { $0.read() }), !octets.isEmpty else { break }
                stream.input += octets
                continue
            }
            let message = Array(stream.input[2..<(2 + count)])
            stream.input.removeFirst(2 + count)
            stream.idleAt = now + Self.idleTimeout
            switch answer(message.span) {
            case .reply(let reply): replies.append(reply)
            case .resolve(let name, let upstreams):
                stream.pending += 1
                queries.append(DNSQuery(client: .stream(id), message: message, name: name, upstreams: upstreams))
            }
        }
        streams[id] = stream
        for reply in replies { send(reply, to: id, now) }
        if isBroken {
            _ = listener.use(id, now: now) { $0.abort() }
        } else {
            finishIfDone(id, now)
        }
        forgetIfGone(id)
        return queries
    }

    private mutating func send(_ message: [UInt8], to id: TCPListener.ID, _ now: MonotonicTime) {
        let framed =
            [UInt8(truncatingIfNeeded: message.count >> 8), UInt8(truncatingIfNeeded: message.count)] + message
        // A guest that asks and does not read is cut off: nothing more would fit.
        let fits = listener.use(id, now: now) { connection in
            if connection.write(framed) { return true }
            connection.abort()
            return false
        }
        if fits != true { forgetIfGone(id) }
    }

    /// Finishes after a guest that has finished, once it has all its answers.
    private mutating func finishIfDone(_ id: TCPListener.ID, _ now: MonotonicTime) {
        guard streams[id]?.pending == 0 else { return }
        _ = listener.use(id, now: now) { connection in
            if connection.isReadFinished, connection.readableByteCount == 0 { connection.finish() }
        }
    }

    private mutating func forgetIfGone(_ id: TCPListener.ID) {
        if !listener.contains(id) { streams[id] = nil }
    }
}

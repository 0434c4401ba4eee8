import Magicsock
import NIOCore
import NetTypes
import NetWire
import Tailcfg
import WireGuard

extension DataPlane {
    /// Asks the peer that is responsible for an address for a sign of life.
    ///
    /// - Returns: Fails with `PingError`.
    func ping(_ kind: PingKind, _ address: IPAddress) -> EventLoopFuture<PingOutcome> {
        guard let index = device.peer(forDestination: address), let peer = peers[index] else {
            return eventLoop.makeFailedFuture(PingError.noSuchPeer)
        }
        switch kind {
        case .disco: return pingPath(address, peer)
        case .tsmp, .icmp: return pingThroughTunnel(kind, address, peer)
        }
    }

    private func pingPath(_ address: IPAddress, _ peer: PlanePeer) -> EventLoopFuture<PingOutcome> {
        guard discoPings < PingBook.limit else { return eventLoop.makeFailedFuture(PingError.tooMany) }
        discoPings += 1
        let id = peer.id
        return socket.ping(peer.path).assumeIsolated()
            .map { [weak self] answer in
                self?.discoPings -= 1
                var outcome = PingOutcome(peer: id, address: address, latency: answer.latency)
                switch answer.way {
                case .direct(let endpoint): outcome.endpoint = endpoint
                case .relay(_, let code): outcome.relay = code
                }
                return outcome
            }
            .flatMapErrorThrowing { [weak self] error in
                self?.discoPings -= 1
                switch error as? PathPingError {
                case .noDisco: throw PingError.noDisco
                case .closed: throw PingError.stopped
                case .noPath, .timedOut, nil: throw PingError.timedOut
                }
            }
            .nonisolated()
    }

    private func pingThroughTunnel(
        _ kind: PingKind,
        _ address: IPAddress,
        _ peer: PlanePeer
    ) -> EventLoopFuture<PingOutcome> {
        guard !pings.isFull else { return eventLoop.makeFailedFuture(PingError.tooMany) }
        let token = UInt64.random(in: .min ... .max, using: &generator)
        guard let source = ownAddresses.first(where: { $0.isIPv4 == address.isIPv4 }),
            let packet = kind == .tsmp
                ? TSMPMessage.ping(token).packet(from: source, to: address)
                : EchoRequest(token: token).packet(from: source, to: address)
        else { return eventLoop.makeFailedFuture(PingError.noOwnAddress) }
        let promise = eventLoop.makePromise(of: PingOutcome.self)
        let now = socket.now
        pings.insert(PingBook.Entry(peer: peer.id, address: address, sentAt: now, promise: promise), token: token)
        send(packet.span, to: peer, now: now)
        socket.flush()
        armTimer()
        armPingTimer()
        return promise.futureResult
    }

    /// Takes the answer to one of our own pings, which is nothing for the guest; false when it answers none.
    func takeEchoReply(_ packet: Span<UInt8>, _ parsed: ParsedPacket, from peer: PlanePeer, now: MonotonicTime) -> Bool
    {
        guard parsed.isEchoReply, let token = EchoRequest.token(in: packet, parsed) else { return false }
        return answered(token, by: peer, now: now)
    }

    /// Ends the wait for an answer; false when nobody waits for it.
    @discardableResult
    func answered(_ token: UInt64, by peer: PlanePeer, now: MonotonicTime) -> Bool {
        guard let entry = pings.take(token, from: peer.id) else { return false }
        var outcome = PingOutcome(peer: peer.id, address: entry.address, latency: now - entry.sentAt)
        switch socket.status(of: peer.path).path {
        case .direct(let endpoint): outcome.endpoint = endpoint
        case .relay(let code): outcome.relay = code
        case .none: break
        }
        entry.promise.succeed(outcome)
        return true
    }

    /// Gives up every ping, for the node stops or changes its key.
    func failPings() {
        pingTimer?.cancel()
        pingTimer = nil
        for entry in pings.takeAll() { entry.promise.fail(PingError.stopped) }
    }

    private func armPingTimer() {
        guard pingTimer == nil, let deadline = pings.deadline else { return }
        pingTimer = eventLoop.assumeIsolated().scheduleTask(
            deadline: .uptimeNanoseconds(deadline.nanoseconds)
        ) { [weak self] in
            guard let self else { return }
            self.pingTimer = nil
            for entry in self.pings.takeOverdue(at: self.socket.now) { entry.promise.fail(PingError.timedOut) }
            self.armPingTimer()
        }
    }
}

/// An ICMP or ICMPv6 echo request of the node's own: the token in its data tells its answer from those to the guest.
struct EchoRequest {
    let token: UInt64

    /// The whole IP packet; nil when the families differ.
    func packet(from source: IPAddress, to destination: IPAddress) -> [UInt8]? {
        var data = [UInt8](repeating: 0, count: 8)
        for place in data.indices { data[place] = UInt8(truncatingIfNeeded: token >> UInt64(56 - 8 * place)) }
        let identifier = UInt32(truncatingIfNeeded: token) | 1 << 16
        switch (source, destination) {
        case (.v4(let source), .v4(let destination)):
            let byteCount = ICMPv4Message.headerByteCount + data.count
            let header = IPv4Header(
                ipProtocol: .icmpv4,
                source: source,
                destination: destination,
                payloadByteCount: byteCount
            )
            var octets = [UInt8](repeating: 0, count: IPv4Header.byteCount + byteCount)
            var elements = octets.mutableSpan
            var span = elements.mutableBytes
            header.store(into: &span, at: 0)
            ICMPv4Message(kind: .echoRequest, restOfHeader: identifier)
                .store(into: &span, at: IPv4Header.byteCount, payload: data.span)
            return octets
        case (.v6(let source), .v6(let destination)):
            let byteCount = ICMPv6Message.headerByteCount + data.count
            let header = IPv6Header(
                nextHeader: .icmpv6,
                source: source,
                destination: destination,
                payloadByteCount: byteCount
            )
            var octets = [UInt8](repeating: 0, count: IPv6Header.byteCount + byteCount)
            var elements = octets.mutableSpan
            var span = elements.mutableBytes
            header.store(into: &span, at: 0)
            ICMPv6Message(kind: .echoRequest, restOfHeader: identifier)
                .store(into: &span, at: IPv6Header.byteCount, payload: data.span, in: header)
            return octets
        default: return nil
        }
    }

    /// The token in an echo reply of the right length.
    static func token(in packet: Span<UInt8>, _ parsed: ParsedPacket) -> UInt64? {
        guard parsed.fragment == .whole, parsed.transportByteCount == ICMPv4Message.headerByteCount + 8 else {
            return nil
        }
        return packet.bigEndian(at: parsed.transportOffset + ICMPv4Message.headerByteCount)
    }
}

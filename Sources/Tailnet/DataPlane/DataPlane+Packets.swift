import GuestNetwork
import Magicsock
import NIOCore
import NetTypes
import NetWire
import WireGuard

extension DataPlane {
    // MARK: From the guest

    /// Takes one frame from the guest.
    func receive(frame: inout ByteBuffer) {
        switch link.receive(frame: &frame) {
        case .forward(let parsed): forward(frame.readableBytesUInt8Span, parsed)
        case .reply: _ = batch.append(frame: frame.readableBytesUInt8Span)
        case .resolve(let query): resolver.resolve([query])
        case .stream(let queries): resolver.resolve(queries)
        case .consumed, .drop: break
        }
    }

    /// Ends a batch of frames: what it produced leaves together.
    func guestReadComplete() {
        flush()
        nic.setPaused(!socket.isWritable)
    }

    private func forward(_ packet: Span<UInt8>, _ parsed: ParsedPacket) {
        guard let index = device.peer(forDestination: parsed.destination), let peer = peers[index] else {
            drops.noRoute &+= 1
            // The one error that ends the wait of TCP and of connected UDP sockets at once: "no route to host" on Linux.
            return refuse(packet, TailnetAddresses.contains(parsed.destination) ? .hostUnreachable : .prohibited)
        }
        guard filter(for: peer).outbound(parsed) == .accept else {
            drops.filteredOutbound &+= 1
            return refuse(packet, .prohibited)
        }
        flows.giveWay(to: parsed)
        send(packet, parsed, to: peer, now: socket.now)
    }

    /// Sends what the node's own flows have to say; never while a received packet is handled, which stands where packets are sealed.
    private func sendOwnPackets() {
        while !flows.outgoing.isEmpty {
            let now = socket.now
            for packet in flows.takeOutgoing() {
                guard let parsed = try? ParsedPacket(parsing: packet.span),
                    let index = device.peer(forDestination: parsed.destination), let peer = peers[index],
                    filter(for: peer).outbound(parsed) == .accept
                else { continue }
                send(packet.span, to: peer, now: now)
            }
        }
    }

    /// Sends everything that a batch of packets, or something else, has produced.
    func flush() {
        sendOwnPackets()
        flushGuest()
        socket.flush()
        armTimer()
    }

    /// Seals a packet for a peer and sends it, or lets it wait for a session.
    func send(_ packet: Span<UInt8>, _ parsed: ParsedPacket? = nil, to peer: PlanePeer, now: MonotonicTime) {
        let offset = MessageLength.transportHeader
        guard scratch.load(packet, at: offset) else { return }
        // Padding and the tag follow a packet.
        let room = min(scratch.byteCount, offset + packet.count + MessageLength.transportOverhead)
        let verdict = scratch.withMutableSpan(first: room) { buffer in
            parsed?.clampSegmentSize(in: &buffer, at: offset, mtu: GuestNetworkConstants.mtu)
            return device.encapsulate(&buffer, packetAt: offset, count: packet.count, to: peer.index, now: now)
        }
        if case .sealed(let range) = verdict {
            scratch.withSpan(range) { socket.send($0, to: peer.path, now: now) }
        }
        if device.hasOutgoing { sendOutgoing(now: now) }
    }

    private func refuse(_ packet: Span<UInt8>, _ error: GuestICMPError) {
        guard errorsToGuest.spend(at: socket.now) else { return }
        if let frame = link.error(error, for: packet) { _ = batch.append(frame: frame.readableBytesUInt8Span) }
    }

    /// Writes what waits for the guest, unless its NIC is full: then it waits, and overflow is dropped and counted.
    func flushGuest() {
        guard !batch.isEmpty else { return }
        guard nic.isConnected else {
            drops.noGuest &+= 1
            _ = batch.take()
            return
        }
        if nic.isWritable { nic.write(batch.take()) }
    }
}

extension DataPlane: MagicSocketSink {
    // MARK: From the network

    /// Opens a WireGuard datagram and delivers the packet in it.
    func magicSocketReceived(_ datagram: Span<UInt8>, from source: AddressPort, relayed: MagicPeer?) {
        guard scratch.load(datagram, at: 0) else { return }
        let now = socket.now
        let verdict = scratch.withMutableSpan(first: datagram.count) { buffer in
            device.decapsulate(&buffer, from: source, now: now)
        }
        switch verdict {
        case .packet(let index, let range):
            if let peer = peers[index] {
                peer.path.noteAnswered(byteCount: datagram.count)
                deliver(range, from: peer, now: now)
            }
        case .keepalive(let index), .handshake(let index), .handshakeCompleted(let index), .cookie(let index):
            peers[index]?.path.noteAnswered(byteCount: datagram.count)
        case .drop: break
        }
        if device.hasOutgoing { sendOutgoing(now: now, source: source, relayed: relayed) }
    }

    private func deliver(_ range: Range<Int>, from peer: PlanePeer, now: MonotonicTime) {
        guard let parsed = scratch.withSpan(range, { packet in try? ParsedPacket(parsing: packet) }) else {
            drops.filteredInbound &+= 1
            return
        }
        // Tailscale's in-tunnel protocol is for nodes, whatever the filter says, and never for guests.
        guard parsed.ipProtocol != .tsmp else {
            let answer = scratch.withSpan(range) { receive(tsmp: $0, parsed, from: peer, now: now) }
            if let answer { send(answer.span, to: peer, now: now) }
            return
        }
        switch filter(for: peer).inbound(parsed) {
        case .accept:
            scratch.withMutableSpan(first: range.upperBound) { buffer in
                parsed.clampSegmentSize(in: &buffer, at: range.lowerBound, mtu: GuestNetworkConstants.mtu)
            }
            scratch.withSpan(range) { packet in
                if !pings.isEmpty, takeEchoReply(packet, parsed, from: peer, now: now) { return }
                if flows.take(packet, parsed) { return }
                link.send(packet: packet, into: &batch)
            }
        case .drop(let reason):
            drops.filteredInbound &+= 1
            // A jailed peer is not to learn what would be open to others.
            guard !peer.isJailed, parsed.isTCPSYN, errorsToPeers.spend(at: now),
                let rejection = TSMPResponder.rejection(of: parsed, reason: reason)
            else { return }
            send(rejection.span, to: peer, now: now)
        }
    }

    private func receive(
        tsmp packet: Span<UInt8>,
        _ parsed: ParsedPacket,
        from peer: PlanePeer,
        now: MonotonicTime
    ) -> [UInt8]? {
        tsmpReceived &+= 1
        if !pings.isEmpty, let message = try? TSMPMessage(parsing: packet, as: parsed),
            case .pong(let token, _) = message
        {
            answered(token, by: peer, now: now)
            return nil
        }
        return tsmp.answer(to: packet, as: parsed)
    }

    /// Ends a batch of datagrams: what it produced leaves together.
    func magicSocketReadComplete() { flush() }

    /// Lets the guest send again, or holds it back.
    func magicSocketWritabilityChanged() { nic.setPaused(!socket.isWritable) }

    /// Paths are read when they are asked for.
    func magicSocketPathChanged(_ peer: MagicPeer) {}

    /// Passes on what control must be told.
    func magicSocketReportChanged(_ report: MagicSocketReport) { tell(report) }
}

/// What the data plane itself dropped, counted in plain integers.
struct PlaneDrops {
    var noRoute: UInt64 = 0
    var filteredOutbound: UInt64 = 0
    var filteredInbound: UInt64 = 0
    var noGuest: UInt64 = 0
}

extension DataPlane {
    /// All drops of the node's packet path that happened, by reason.
    var dropsByReason: [String: UInt64] {
        var result: [String: UInt64] = [
            "no-route": drops.noRoute,
            "filtered-outbound": drops.filteredOutbound,
            "filtered-inbound": drops.filteredInbound,
            "no-guest": drops.noGuest,
            "nic-garbage": nic.brokenStreams,
            "no-path": socket.drops.noPath,
            "unknown-peer": socket.drops.unknownPeer,
            "bad-disco": socket.drops.badDisco,
            "relayed-by-udp": socket.drops.relayedByUDP,
            "refused-by-policy": socket.drops.refusedByPolicy,
        ]
        for (reason, count) in link.counters.dropsByReason { result["guest-\(reason.rawValue)"] = count }
        for reason in DropReason.allCases { result["wireguard-\(reason.slug)"] = device.dropCounts[reason] }
        return result.filter { $0.value > 0 }
    }
}

extension DropReason {
    /// The reason in lower case with hyphens.
    fileprivate var slug: String {
        var slug = ""
        for character in "\(self)" {
            if character.isUppercase, slug.last != "-", slug.last?.isUppercase != true { slug += "-" }
            slug += character.lowercased()
        }
        return slug
    }
}

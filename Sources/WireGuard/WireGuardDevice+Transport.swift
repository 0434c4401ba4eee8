package import NetTypes
import WarrenCrypto

extension WireGuardDevice {
    /// Seals the `count` octets of `buffer` at `offset` for a peer, in place.
    ///
    /// The message begins 16 octets before the packet and may end 31 octets behind it; the buffer must have that room.
    package func encapsulate(
        _ buffer: inout MutableRawSpan,
        packetAt offset: Int,
        count: Int,
        to index: PeerIndex,
        now: MonotonicTime
    ) -> EncapsulateVerdict {
        guard let slot = slot(of: index), let sessions = sessions(of: slot) else { return drop(.unknownPeer) }
        let padded = count + Self.paddingCount(for: count)
        let start = offset - MessageLength.transportHeader
        guard start >= 0, count >= 0, buffer.byteCount - offset >= padded + MessageLength.tag else {
            return drop(.noRoom)
        }
        guard let keypair = sessions.sendable(at: now) else {
            let packet = Span<UInt8>(_bytes: buffer.bytes).extracting(offset..<(offset + count)).array
            enqueue(packet, slot, sessions)
            initiateHandshake(slot, sessions, isRetry: false, now: now)
            reschedule(slot, sessions)
            return .queued
        }
        var fill = offset + count
        while fill < offset + padded {
            buffer.storeBytes(of: 0, toByteOffset: fill, as: UInt8.self)
            fill += 1
        }
        keypair.seal(&buffer, at: start, count: padded)
        noteSent(slot, sessions, byteCount: padded + MessageLength.keepalive, isData: count > 0, now: now)
        keepFresh(afterSendingWith: keypair, slot, sessions, now: now)
        reschedule(slot, sessions)
        return .sealed(start..<(offset + padded + MessageLength.tag))
    }

    /// Seals a copy of `packet` for a peer into the front of `output`, which must be `transportOverhead` longer.
    package func encapsulate(
        _ packet: Span<UInt8>,
        to index: PeerIndex,
        into output: inout MutableRawSpan,
        now: MonotonicTime
    ) -> EncapsulateVerdict {
        guard output.byteCount >= packet.count + MessageLength.transportOverhead else { return drop(.noRoom) }
        output.store(packet, at: MessageLength.transportHeader)
        return encapsulate(
            &output,
            packetAt: MessageLength.transportHeader,
            count: packet.count,
            to: index,
            now: now
        )
    }

    /// How many zeros follow a packet: up to a multiple of 16, but not beyond the MTU (wireguard-go `send.go`).
    static func paddingCount(for count: Int) -> Int {
        let mtu = WireGuardDefaults.tunnelMTU
        let last = count > mtu ? count % mtu : count
        return min((last + 15) & ~15, mtu) - last
    }

    /// Opens a transport message in place and notes what its reception means for the session.
    func receiveTransport(_ datagram: inout MutableRawSpan, now: MonotonicTime) -> DecapsulateVerdict {
        let count = datagram.byteCount
        guard count >= MessageLength.keepalive else { return drop(.malformed) }
        let (localIndex, counter) = Self.transportHeader(Span<UInt8>(_bytes: datagram.bytes))
        guard let slot = indices.slot(of: localIndex), let sessions = peers[slot].sessions,
            let keypair = sessions.keypair(localIndex: localIndex)
        else { return drop(.unknownIndex) }
        guard !keypair.isExpired(at: now) else { return drop(.sessionExpired) }
        if let reason = keypair.open(&datagram, counter: counter) { return drop(reason) }

        sessions.statistics.receivedByteCount &+= UInt64(count)
        sessions.timers.authenticatedReceived()
        if sessions.confirm(keypair, dropped: { indices.remove($0) }) {
            sessions.timers.handshakeCompleted()
            sessions.dropHandshake { indices.remove($0) }
            sessions.statistics.lastHandshakeAt = now
            flushQueue(slot, sessions, now: now)
        }
        keepFresh(afterReceiving: slot, sessions, now: now)
        defer { reschedule(slot, sessions) }
        guard count > MessageLength.keepalive else { return .keepalive(index(of: slot)) }
        sessions.timers.dataReceived(at: now)
        let room = MessageLength.transportHeader..<(count - MessageLength.tag)
        return checkInnerPacket(Span<UInt8>(_bytes: datagram.bytes).extracting(room), of: slot)
    }

    private static func transportHeader(_ message: Span<UInt8>) -> (UInt32, UInt64) {
        (message.littleEndian(at: 4), message.littleEndian(at: 8))
    }

    private func checkInnerPacket(_ packet: Span<UInt8>, of slot: Int) -> DecapsulateVerdict {
        let length: Int
        let source: IPAddress
        switch packet[0] >> 4 {
        case 4:
            guard packet.count >= 20 else { return drop(.badInnerPacket) }
            length = Int(packet.bigEndian(at: 2, as: UInt16.self))
            guard length >= 20 else { return drop(.badInnerPacket) }
            source = .v4(IPv4Address(packet, at: 12))
        case 6:
            guard packet.count >= 40 else { return drop(.badInnerPacket) }
            length = 40 + Int(packet.bigEndian(at: 4, as: UInt16.self))
            source = .v6(IPv6Address(packet, at: 8))
        default:
            return drop(.badInnerPacket)
        }
        guard length <= packet.count else { return drop(.badInnerPacket) }
        let index = index(of: slot)
        guard allowedIPs.owner(of: source) == index || sharesRoute(to: source, slot) else {
            return drop(.sourceNotAllowed)
        }
        return .packet(index, MessageLength.transportHeader..<(MessageLength.transportHeader + length))
    }

    /// Whether the prefix by which a source belongs to another peer is this one's, too: two routers of one network.
    private func sharesRoute(to source: IPAddress, _ slot: Int) -> Bool {
        guard let length = allowedIPs.matchedLength(of: source) else { return false }
        for prefix in peers[slot].allowedIPs where prefix.length == length && prefix.contains(source) { return true }
        return false
    }

    /// Keeps a packet until there is a session, within the bounds of both queues.
    func enqueue(_ packet: [UInt8], _ slot: Int, _ sessions: WireGuardPeer) {
        guard queuedByteCount + packet.count <= WireGuardDefaults.queuedByteCount else {
            return countDrop(.queueFull)
        }
        queuedByteCount += packet.count
        if let lost = sessions.queue.append(packet) {
            queuedByteCount -= lost
            countDrop(.queueFull)
        }
    }

    /// Sends what waited for a session, or begins a handshake when there still is none.
    func flushQueue(_ slot: Int, _ sessions: WireGuardPeer, now: MonotonicTime) {
        guard !sessions.queue.isEmpty else { return }
        guard sessions.sendable(at: now) != nil else {
            return initiateHandshake(slot, sessions, isRetry: false, now: now)
        }
        queuedByteCount -= sessions.queue.byteCount
        for packet in sessions.queue.takeAll() { sendSealed(packet, slot, sessions, now: now) }
    }

    /// Sends an empty message, if there is a session to send it with.
    func sendKeepalive(_ slot: Int, _ sessions: WireGuardPeer, now: MonotonicTime) {
        guard sessions.sendable(at: now) != nil else {
            return initiateHandshake(slot, sessions, isRetry: false, now: now)
        }
        sendSealed([], slot, sessions, now: now)
    }

    private func sendSealed(_ packet: [UInt8], _ slot: Int, _ sessions: WireGuardPeer, now: MonotonicTime) {
        guard let keypair = sessions.sendable(at: now) else { return }
        let padded = packet.count + Self.paddingCount(for: packet.count)
        var message = [UInt8](repeating: 0, count: padded + MessageLength.keepalive)
        message.replaceSubrange(
            MessageLength.transportHeader..<(MessageLength.transportHeader + packet.count),
            with: packet
        )
        keypair.seal(&message, count: padded)
        noteSent(slot, sessions, byteCount: message.count, isData: !packet.isEmpty, now: now)
        send(message, to: .peer(index(of: slot)))
        keepFresh(afterSendingWith: keypair, slot, sessions, now: now)
    }

    private func noteSent(_ slot: Int, _ sessions: WireGuardPeer, byteCount: Int, isData: Bool, now: MonotonicTime) {
        sessions.statistics.sentByteCount &+= UInt64(byteCount)
        sessions.timers.authenticatedSent()
        if isData { sessions.timers.dataSent(at: now, jitter: jitter()) }
    }

    private func keepFresh(
        afterSendingWith keypair: Keypair,
        _ slot: Int,
        _ sessions: WireGuardPeer,
        now: MonotonicTime
    ) {
        let isOld = keypair.isInitiator && now - keypair.createdAt >= WireGuardConstants.rekeyAfterTime
        if isOld || keypair.sendCounter > WireGuardConstants.rekeyAfterMessages {
            initiateHandshake(slot, sessions, isRetry: false, now: now)
        }
    }

    private func keepFresh(afterReceiving slot: Int, _ sessions: WireGuardPeer, now: MonotonicTime) {
        guard !sessions.timers.sentLastMinuteHandshake, let current = sessions.current, current.isInitiator else {
            return
        }
        let lastMinute =
            WireGuardConstants.rejectAfterTime - WireGuardConstants.keepaliveTimeout - WireGuardConstants.rekeyTimeout
        guard now - current.createdAt > lastMinute else { return }
        sessions.timers.sentLastMinuteHandshake = true
        initiateHandshake(slot, sessions, isRetry: false, now: now)
    }

    /// Counts and returns a drop.
    func drop(_ reason: DropReason) -> EncapsulateVerdict {
        countDrop(reason)
        return .drop(reason)
    }

    /// Counts and returns a drop.
    func drop(_ reason: DropReason) -> DecapsulateVerdict {
        countDrop(reason)
        return .drop(reason)
    }
}

extension Keypair {
    /// Seals the `count` octets that follow room for a header, as a whole message.
    func seal(_ message: inout [UInt8], count: Int) {
        var elements = message.mutableSpan
        var octets = unsafe elements.mutableBytes
        seal(&octets, at: 0, count: count)
    }
}

package import NetTypes
import WarrenCrypto

extension WireGuardDevice {
    /// Takes in a datagram from `source`; a packet in it is opened in place.
    package func decapsulate(
        _ datagram: inout MutableRawSpan,
        from source: AddressPort,
        now: MonotonicTime
    ) -> DecapsulateVerdict {
        switch Self.messageType(Span<UInt8>(_bytes: datagram.bytes)) {
        case MessageType.transport:
            receiveTransport(&datagram, now: now)
        case MessageType.initiation where datagram.byteCount == MessageLength.initiation:
            receiveInitiation(Span<UInt8>(_bytes: datagram.bytes), from: source, now: now)
        case MessageType.response where datagram.byteCount == MessageLength.response:
            receiveResponse(Span<UInt8>(_bytes: datagram.bytes), from: source, now: now)
        case MessageType.cookieReply where datagram.byteCount == MessageLength.cookieReply:
            receiveCookieReply(Span<UInt8>(_bytes: datagram.bytes), now: now)
        default:
            drop(.malformed)
        }
    }

    private static func messageType(_ message: Span<UInt8>) -> UInt32 {
        message.count >= MessageLength.keepalive ? message.littleEndian(at: 0) : 0
    }

    /// Sends an initiation, unless one was sent less than five seconds ago.
    func initiateHandshake(_ slot: Int, _ sessions: WireGuardPeer, isRetry: Bool, now: MonotonicTime) {
        if let last = sessions.lastHandshakeSentAt, now - last < WireGuardConstants.rekeyTimeout {
            // Else a packet that came right after our response would wait for the next packet.
            if !sessions.queue.isEmpty {
                sessions.timers.planInitiation(at: last + WireGuardConstants.rekeyTimeout)
            }
            return
        }
        sessions.dropHandshake { indices.remove($0) }
        let ephemeral = NodePrivateKey(using: &generator)
        let localIndex = makeIndex(for: slot)
        do throws(CryptoError) {
            let handshake = try InitiatorHandshake(
                from: privateKey,
                to: peers[slot].publicKey,
                staticSecret: sessions.staticSecret,
                ephemeral: ephemeral,
                localIndex: localIndex,
                timestamp: clock.timestamp(at: now)
            )
            var message = handshake.message
            sessions.cookies.addMACs(to: &message, now: now)
            sessions.handshake = consume handshake
            sessions.lastHandshakeSentAt = now
            sessions.statistics.sentByteCount &+= UInt64(message.count)
            sessions.timers.authenticatedSent()
            sessions.timers.handshakeInitiated(at: now, isRetry: isRetry, jitter: jitter())
            send(message, to: .peer(index(of: slot)))
        } catch {
            indices.remove(localIndex)
            countDrop(.badHandshake)
        }
    }

    private func staticSecret(of slot: Int) throws(CryptoError) -> SecretBytes {
        if let sessions = peers[slot].sessions { return sessions.staticSecret }
        return try X25519.sharedSecret(privateKey: privateKey, publicKey: peers[slot].publicKey)
    }

    /// Checks the codes of a handshake message; a reason when it is not to be looked at further.
    private func guardHandshake(_ message: Span<UInt8>, from source: AddressPort, now: MonotonicTime) -> DropReason? {
        guard cookieChecker.hasValidMAC1(message) else { return .badMAC1 }
        guard load.isUnderLoad(at: now) else { return nil }
        let sourceBytes = Self.bytes(of: source)
        if cookieChecker.hasValidMAC2(message, source: sourceBytes, now: now) {
            return load.admits(source.address, at: now) ? nil : .rateLimited
        }
        let reply = try? cookieChecker.makeReply(to: message, source: sourceBytes, now: now, generator: &generator)
        if let reply { send(reply, to: .source(source)) }
        return .cookieRequired
    }

    private static func bytes(of source: AddressPort) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 18)
        var elements = bytes.mutableSpan
        var octets = unsafe elements.mutableBytes
        source.address.mapped.store(into: &octets, at: 0)
        octets.store(bigEndian: source.port, at: 16)
        return bytes
    }

    private func receiveInitiation(
        _ message: Span<UInt8>,
        from source: AddressPort,
        now: MonotonicTime
    ) -> DecapsulateVerdict {
        if let reason = guardHandshake(message, from: source, now: now) { return drop(reason) }
        do throws(CryptoError) {
            var handshake = try ResponderHandshake(message, privateKey: privateKey)
            guard let slot = slots[handshake.remoteStatic] else { return drop(.unknownPeer) }
            // No session state before the timestamp proves that the peer itself asks for it.
            let timestamp = try handshake.openTimestamp(message, staticSecret: staticSecret(of: slot))
            guard timestamp > peers[slot].lastTimestamp else { return drop(.staleTimestamp) }
            if let last = peers[slot].sessions?.lastInitiationAt, now - last < WireGuardConstants.initiationSpacing {
                return drop(.initiationFlood)
            }
            guard let sessions = sessions(of: slot) else { return drop(.unknownPeer) }
            peers[slot].lastTimestamp = timestamp
            sessions.lastInitiationAt = now

            let ephemeral = NodePrivateKey(using: &generator)
            let localIndex = makeIndex(for: slot)
            var (response, keys) = try handshake.respond(
                ephemeral: ephemeral,
                localIndex: localIndex,
                presharedKey: peers[slot].presharedKey
            )
            sessions.cookies.addMACs(to: &response, now: now)
            sessions.install(Keypair(keys, createdAt: now)) { indices.remove($0) }
            sessions.lastHandshakeSentAt = now
            sessions.statistics.receivedByteCount &+= UInt64(message.count)
            sessions.statistics.sentByteCount &+= UInt64(response.count)
            sessions.timers.authenticatedReceived()
            sessions.timers.sessionDerived(at: now)
            sessions.timers.authenticatedSent()
            reschedule(slot, sessions)
            send(response, to: .peer(index(of: slot)))
            return .handshake(index(of: slot))
        } catch {
            return drop(.badHandshake)
        }
    }

    private func receiveResponse(
        _ message: Span<UInt8>,
        from source: AddressPort,
        now: MonotonicTime
    ) -> DecapsulateVerdict {
        if let reason = guardHandshake(message, from: source, now: now) { return drop(reason) }
        let localIndex: UInt32 = message.littleEndian(at: 8)
        guard let slot = indices.slot(of: localIndex), let sessions = peers[slot].sessions,
            sessions.handshakeIndex == localIndex
        else { return drop(.unknownIndex) }
        do throws(CryptoError) {
            let presharedKey = peers[slot].presharedKey
            guard let keys = try sessions.finishHandshake(message, privateKey, presharedKey) else {
                return drop(.unknownIndex)
            }
            // The index stays in the table: from here on it names the session.
            sessions.handshake = nil
            sessions.install(Keypair(keys, createdAt: now)) { indices.remove($0) }
            sessions.statistics.receivedByteCount &+= UInt64(message.count)
            sessions.statistics.lastHandshakeAt = now
            sessions.timers.authenticatedReceived()
            sessions.timers.sessionDerived(at: now)
            sessions.timers.handshakeCompleted()
            // The peer may not send before it has heard from us under the new keys.
            if sessions.queue.isEmpty {
                sendKeepalive(slot, sessions, now: now)
            } else {
                flushQueue(slot, sessions, now: now)
            }
            reschedule(slot, sessions)
            return .handshakeCompleted(index(of: slot))
        } catch {
            return drop(.badHandshake)
        }
    }

    private func receiveCookieReply(_ message: Span<UInt8>, now: MonotonicTime) -> DecapsulateVerdict {
        // Answers our initiation, or a response of ours by the index of its session.
        guard let slot = indices.slot(of: message.littleEndian(at: 4)), let sessions = peers[slot].sessions else {
            return drop(.unknownIndex)
        }
        do throws(CryptoError) {
            try sessions.cookies.consume(message, now: now)
            return .cookie(index(of: slot))
        } catch {
            return drop(.badHandshake)
        }
    }
}

extension WireGuardPeer {
    /// The keys that a response to our initiation yields; nil when we began none.
    func finishHandshake(
        _ response: Span<UInt8>,
        _ privateKey: NodePrivateKey,
        _ presharedKey: SecretBytes?
    ) throws(CryptoError) -> SessionKeys? {
        try handshake?.finish(response, privateKey: privateKey, presharedKey: presharedKey)
    }
}

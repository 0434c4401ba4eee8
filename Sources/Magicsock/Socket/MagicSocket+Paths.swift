import Disco
import Logging
import NIOCore
import NetTypes
import WarrenCrypto

extension MagicSocket {
    /// Lets the path state of a peer do what is due and sets its timer.
    func poll(_ peer: MagicPeer) {
        perform(peer.endpoint.poll(at: now, using: &generator), for: peer)
    }

    /// Carries out what the path state of a peer asked for.
    func perform(_ actions: [PeerPathAction], for peer: MagicPeer) {
        for action in actions {
            switch action {
            case .ping(let address, let transaction): ping(peer, at: address, transaction)
            case .callMeMaybe: callMeMaybe(peer)
            case .bestChanged: bestChanged(peer)
            }
        }
        armTimer(of: peer)
    }

    /// Takes over a new best path, or the lack of one.
    func bestChanged(_ peer: MagicPeer) {
        peer.directRemote = peer.endpoint.best?.address.socketAddress
        logger.debug(
            "path changed",
            metadata: [
                "peer": "\(peer.nodeKey.short)",
                "path": "\(peer.endpoint.best.map { "\($0.address)" } ?? "derp")",
            ]
        )
        if peer.endpoint.best != nil { resendHandshake(to: peer, directly: true) }
        sink?.magicSocketPathChanged(peer)
    }

    /// Plans to send a handshake message again while nothing came back and no other took its place.
    func scheduleResends(to peer: MagicPeer) {
        guard let at = peer.handshake?.at else { return }
        for delay in MagicsockConstants.handshakeResendDelays {
            eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(delay.wholeNanoseconds)) {
                [weak self, weak peer] in
                guard let self, let peer, peer.handshake?.at == at, self.peers[peer.nodeKey] === peer else { return }
                self.resendHandshake(to: peer, directly: peer.endpoint.best != nil)
                self.flush()
            }
        }
    }

    /// Gives a peer that is about to enter its relay another chance before WireGuard's five seconds are over.
    func resendHandshakeSoon(to peer: MagicPeer) {
        guard let handshake = peer.handshake, handshake.resends < MagicsockConstants.handshakeResends else { return }
        peer.handshake?.resends += 1
        let interval = TimeAmount.nanoseconds(MagicsockConstants.handshakeResendInterval.wholeNanoseconds)
        eventLoop.assumeIsolated().scheduleTask(in: interval) { [weak self, weak peer] in
            guard let self, let peer, self.peers[peer.nodeKey] === peer else { return }
            self.resendHandshake(to: peer, directly: false)
            self.flush()
        }
    }

    /// Sends an unanswered handshake message again; a peer that has it already drops the copy.
    func resendHandshake(to peer: MagicPeer, directly: Bool) {
        guard let handshake = peer.handshake, now - handshake.at < MagicsockConstants.handshakeLifetime else {
            peer.handshake = nil
            return
        }
        if !directly {
            _ = sendByRelay(handshake.octets.span, to: peer)
        } else if let remote = peer.directRemote, let best = peer.endpoint.best {
            let socket = best.address.address.isIPv4 ? udpIPv4 : udpIPv6
            socket?.send(handshake.octets.span, to: remote)
            socket?.flush()
        }
    }

    /// Sends a sealed disco packet by UDP at once.
    func sendDisco(_ packet: [UInt8], to address: AddressPort) {
        guard usesUDP, let remote = address.socketAddress, let socket = address.address.isIPv4 ? udpIPv4 : udpIPv6
        else {
            return
        }
        socket.send(packet.span, to: remote)
        socket.flush()
    }

    /// Sends call-me-maybes that waited for a fresh list of our endpoints.
    func sendAwaitedCallMeMaybes() {
        let waiting = awaitingFreshEndpoints
        awaitingFreshEndpoints.removeAll()
        for peer in waiting where peers[peer.nodeKey] === peer { sendCallMeMaybe(to: peer) }
        derp.flush()
    }

    private func ping(_ peer: MagicPeer, at address: AddressPort, _ transaction: TransactionID) {
        guard let box = peer.discoBox else { return }
        guard UDPReachability.hasRoute(to: address) else {
            perform(peer.endpoint.noteUnreachable(address, at: now), for: peer)
            return
        }
        let message = DiscoMessage.ping(DiscoPing(transaction: transaction, nodeKey: nodeKey))
        sendDisco(DiscoEnvelope.seal(message, from: discoPublicKey, with: box), to: address)
    }

    private func callMeMaybe(_ peer: MagicPeer) {
        // Who cannot be pinged has nobody try.
        guard usesUDP else { return }
        if discovery.isFresh(at: now) {
            sendCallMeMaybe(to: peer)
            derp.flush()
        } else {
            if !awaitingFreshEndpoints.contains(where: { $0 === peer }) { awaitingFreshEndpoints.append(peer) }
            requestEndpoints()
        }
    }

    private func sendCallMeMaybe(to peer: MagicPeer) {
        guard let box = peer.discoBox else { return }
        let message = DiscoMessage.callMeMaybe(discovery.endpoints.map(\.address))
        let packet = DiscoEnvelope.seal(message, from: discoPublicKey, with: box)
        _ = sendByRelay(packet.span, to: peer)
    }

    private func armTimer(of peer: MagicPeer) {
        guard let deadline = peer.endpoint.deadline, !isClosed else { return }
        if let armed = peer.timerDeadline, armed <= deadline { return }
        peer.timer?.cancel()
        peer.timerDeadline = deadline
        let at = NIODeadline.uptimeNanoseconds(deadline.nanoseconds)
        peer.timer = eventLoop.assumeIsolated().scheduleTask(deadline: at) { [weak self, weak peer] in
            guard let self, let peer, self.peers[peer.nodeKey] === peer else { return }
            peer.timerDeadline = nil
            self.poll(peer)
            self.flush()
        }
    }
}

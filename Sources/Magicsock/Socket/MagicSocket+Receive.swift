import Disco
import NIOCore
import NetTypes
import NetWire
import Tailcfg
import WarrenCrypto

extension MagicSocket {
    /// Sorts one datagram that came by UDP.
    func receive(_ datagram: Span<UInt8>, from source: SocketAddress) {
        guard usesUDP else { return }
        switch DatagramClass(datagram) {
        case .wireGuard:
            // The source matters to handshakes only; transport messages are not worth the conversion.
            let isTransport = datagram.count > 0 && datagram[0] == 4
            let address = isTransport ? nil : AddressPort(source)
            if needsOrigin { origin.source = source }
            sink?.magicSocketReceived(datagram, from: address ?? Self.unknownSource, relayed: nil)
        case .disco:
            guard let address = AddressPort(source) else { return }
            receive(disco: datagram, from: address)
        case .stun: receive(stun: datagram)
        case .relayedDisco, .relayedWireGuard: drops.relayedByUDP &+= 1
        }
    }

    /// Ends a batch of reads.
    func readComplete() {
        sink?.magicSocketReadComplete()
        flush()
    }

    /// Sorts one packet that came through a relay.
    func receive(relayed packet: ByteBuffer, from key: NodePublicKey, by region: DERPRegionID) {
        guard let peer = peers[key] else {
            drops.unknownPeer &+= 1
            return
        }
        peer.reverseRegion = region
        let octets = packet.readableBytesUInt8Span
        if DiscoEnvelope.hasMagic(octets) {
            receive(disco: octets, from: peer, by: region)
            flush()
        } else {
            let source = AddressPort(MagicsockConstants.derpAddress, port: UInt16(truncatingIfNeeded: region.rawValue))
            origin.source = nil
            sink?.magicSocketReceived(octets, from: source, relayed: peer)
            sink?.magicSocketReadComplete()
        }
    }

    private func receive(disco packet: Span<UInt8>, from source: AddressPort) {
        guard let sender = DiscoEnvelope.sender(of: packet), let owners = peersByDisco[sender],
            let box = owners.first?.discoBox, let message = DiscoEnvelope.open(packet, with: box)
        else {
            drops.badDisco &+= 1
            return
        }
        let now = self.now
        switch message {
        case .ping(let ping):
            guard isPermitted(source) else {
                drops.refusedByPolicy &+= 1
                return
            }
            // Several nodes may share a disco key; the node key in the ping tells which of them asks.
            let named = owners.filter { $0.nodeKey == ping.nodeKey }
            var isNew = false
            for peer in named.isEmpty ? owners : named {
                if peer.endpoint.receivePing(ping.transaction, from: source, at: now) { isNew = true }
                peer.lastPingSource = source
                if peer.endpoint.isActive(at: now) { poll(peer) }
            }
            guard isNew else { return }
            let pong = DiscoEnvelope.seal(.pong(ping.transaction, source: source), from: discoPublicKey, with: box)
            sendDisco(pong, to: source)
        case .pong(let transaction, _):
            for peer in owners { perform(peer.endpoint.receivePong(transaction, at: now), for: peer) }
            pathQueries.answer(transaction, byRelay: false, from: owners, at: now)
        case .callMeMaybe, .relay: break
        }
    }

    private func receive(disco packet: Span<UInt8>, from peer: MagicPeer, by region: DERPRegionID) {
        guard let box = peer.discoBox, DiscoEnvelope.sender(of: packet) == peer.discoKey,
            let message = DiscoEnvelope.open(packet, with: box)
        else {
            drops.badDisco &+= 1
            return
        }
        switch message {
        case .ping(let ping):
            let source = AddressPort(
                MagicsockConstants.derpAddress,
                port: UInt16(truncatingIfNeeded: region.rawValue)
            )
            let pong = DiscoEnvelope.seal(.pong(ping.transaction, source: source), from: discoPublicKey, with: box)
            _ = derp.send(pong.span, to: peer.nodeKey, through: region)
        case .callMeMaybe(let endpoints):
            let actions = peer.endpoint.receiveCallMeMaybe(
                endpoints.filter(isPermitted),
                at: now,
                using: &generator
            )
            perform(actions, for: peer)
        case .pong(let transaction, _): pathQueries.answer(transaction, byRelay: true, from: [peer], at: now)
        case .relay: break
        }
    }

    private static let unknownSource = AddressPort(.v4(.unspecified), port: 0)

    private func receive(stun datagram: Span<UInt8>) {
        guard case .bindingResponse(let transaction, let seen) = try? STUNMessage(parsing: datagram) else { return }
        receive(stun: transaction, seen: seen)
    }
}

extension AddressPort {
    /// The address of a peer as NIO names it; nil for a Unix socket.
    init?(_ address: SocketAddress) {
        let parsed = address.withSockAddr { pointer, size in
            AddressPort(sockaddr: UnsafeRawBufferPointer(start: pointer, count: size), family: address.protocol)
        }
        guard let parsed else { return nil }
        self = parsed
    }

    // The layout of sockaddr_in and sockaddr_in6: port at 2, address at 4 or 8, both big-endian.
    private init?(sockaddr octets: UnsafeRawBufferPointer, family: NIOBSDSocket.ProtocolFamily) {
        switch family {
        case .inet where octets.count >= 8:
            self.init(
                .v4(IPv4Address(rawValue: UInt32(bigEndian: octets.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))),
                port: UInt16(bigEndian: octets.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            )
        case .inet6 where octets.count >= 24:
            let address = IPv6Address(
                high: UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                low: UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            )
            self.init(
                IPAddress.v6(address).unmapped,
                port: UInt16(bigEndian: octets.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            )
        default: return nil
        }
    }

    /// The address as NIO wants it.
    var socketAddress: SocketAddress? {
        // Literal addresses are parsed, never resolved; this happens once a path, not once a packet.
        try? SocketAddress(ipAddress: "\(address)", port: Int(port))
    }
}

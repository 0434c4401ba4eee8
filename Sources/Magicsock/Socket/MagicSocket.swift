import Disco
import Logging
package import NIOCore
import NIOPosix
package import NetTypes
package import Tailcfg
package import WarrenCrypto

/// Carries the tunnel's datagrams of one node by the best way to each peer: UDP, a relay, or both for a while.
///
/// Confined to the node's event loop: every call and every callback is made there. Whoever starts it must close it.
package final class MagicSocket {
    /// The loop that all of this runs on.
    package let eventLoop: any EventLoop
    /// What was dropped and why.
    package internal(set) var drops = MagicSocketDrops()
    /// The relay region where this node can be reached.
    package var homeDERP: DERPRegionID { derp.home }
    /// Whether the map poll is up; while it is not, peers could not learn of a new home, so home stays.
    package var controlIsConnected = false

    let configuration: MagicSocketConfiguration
    let logger: Logger
    let derp: DERPConnections
    let discoKey = DiscoPrivateKey()
    var generator = SystemRandomNumberGenerator()
    var nodeKey: NodePublicKey
    // Strong for the sake of speed; `close()` lets go.
    var sink: (any MagicSocketSink)?
    var udpIPv4: UDPSocket?
    var udpIPv6: UDPSocket?
    var isClosed = false
    var peers: [NodePublicKey: MagicPeer] = [:]
    var peersByDisco: [DiscoPublicKey: [MagicPeer]] = [:]
    var discovery: EndpointDiscovery
    var awaitingFreshEndpoints: [MagicPeer] = []
    var pathQueries = PathQueries()
    private var rebinds = 0

    /// Prepares a socket with a disco key of its own, which lives as long as the socket.
    package init(eventLoop: any EventLoop, nodeKey: NodePrivateKey, configuration: MagicSocketConfiguration) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.nodeKey = nodeKey.publicKey
        logger = configuration.logger
        discovery = EndpointDiscovery()
        derp = DERPConnections(
            eventLoop: eventLoop,
            dialer: configuration.relayDialer,
            privateKey: nodeKey,
            logger: configuration.logger
        )
    }

    /// The public half of this process's disco key.
    package var discoPublicKey: DiscoPublicKey { discoKey.publicKey }

    /// What control was, or is to be, told last.
    package var report: MagicSocketReport? { discovery.published }

    /// The addresses that the sockets are bound to.
    package var localAddresses: [AddressPort] { [udpIPv4, udpIPv6].compactMap { $0?.localAddress } }

    /// Binds UDP and begins; a family that the machine lacks is left out, and a port that is taken is replaced by another.
    package func start(sink: any MagicSocketSink) -> EventLoopFuture<Void> {
        begin(sink)
        guard configuration.usesUDP else { return eventLoop.makeSucceededVoidFuture() }
        let isIPv4 = configuration.bindAddress?.isIPv4 ?? true
        return bind(isIPv4: isIPv4, port: configuration.port)
            .assumeIsolated()
            .flatMapError { [unowned self] error in
                logger.warning("UDP port not free, taking another", metadata: ["error": "\(error)"])
                return bind(isIPv4: isIPv4, port: 0)
            }
            .flatMap { [unowned self] in
                guard configuration.bindAddress == nil, let port = udpIPv4?.localAddress.port else {
                    return eventLoop.makeSucceededVoidFuture()
                }
                // Without IPv6 on this machine the node does with IPv4.
                return bind(isIPv4: false, port: port).recover { _ in () }
            }
            .nonisolated()
    }

    /// Begins over a channel of the caller's, which carries `AddressedEnvelope<ByteBuffer>` as if bound to an address.
    package func start(sink: any MagicSocketSink, over channel: any Channel, at localAddress: AddressPort) throws {
        begin(sink)
        let isIPv4 = localAddress.address.isIPv4
        try channel.pipeline.syncOperations.addHandler(UDPReceiver(owner: self, isIPv4: isIPv4))
        let socket = UDPSocket(channel: channel, localAddress: localAddress)
        if isIPv4 { udpIPv4 = socket } else { udpIPv6 = socket }
    }

    private func begin(_ sink: any MagicSocketSink) {
        self.sink = sink
        derp.onPacket = { [unowned self] peer, region, packet in receive(relayed: packet, from: peer, by: region) }
        derp.onPeerGone = { [unowned self] peer, region in
            guard let peer = peers[peer] else { return }
            if peer.reverseRegion == region { peer.reverseRegion = .none }
            resendHandshakeSoon(to: peer)
        }
        derp.onHomeChange = { [unowned self] isConnected in
            if !isConnected { requestEndpoints() }
        }
    }

    /// Ends every socket, connection and timer; nothing is called back afterwards.
    package func close() {
        isClosed = true
        sink = nil
        derp.close()
        udpIPv4?.close()
        udpIPv6?.close()
        discovery.timer?.cancel()
        for peer in peers.values { peer.timer?.cancel() }
        pathQueries.failAll()
        peers.removeAll()
        peersByDisco.removeAll()
        awaitingFreshEndpoints.removeAll()
    }

    // MARK: What control says

    /// Takes the relays of the current map.
    package func setDERPMap(_ map: DERPMap) {
        guard map != discovery.map else { return }
        discovery.map = map
        derp.setRegions(map.regions)
        requestEndpoints(isFull: true)
    }

    /// Takes the peers of the current map and returns them; those that stay keep their paths.
    package func setPeers(_ descriptions: [MagicPeerDescription]) -> [MagicPeer] {
        var kept: [NodePublicKey: MagicPeer] = [:]
        peersByDisco.removeAll(keepingCapacity: true)
        let now = self.now
        let result = descriptions.map { description in
            let peer = peers.removeValue(forKey: description.nodeKey) ?? MagicPeer(nodeKey: description.nodeKey)
            peer.setDiscoKey(description.discoKey, own: discoKey)
            let isRehomed = peer.endpoint.homeDERP != description.homeDERP
            peer.endpoint.homeDERP = description.homeDERP
            if isRehomed { resendHandshake(to: peer, directly: false) }
            peer.endpoint.setNetworkMapCandidates(description.endpoints.filter(isPermitted), at: now)
            kept[peer.nodeKey] = peer
            if !peer.discoKey.isZero { peersByDisco[peer.discoKey, default: []].append(peer) }
            return peer
        }
        for gone in peers.values { gone.timer?.cancel() }
        peers = kept
        for peer in result where peer.endpoint.isActive(at: now) { poll(peer) }
        flush()
        return result
    }

    /// Takes a new node key; every relay is entered anew under it.
    package func setNodeKey(_ key: NodePrivateKey) {
        nodeKey = key.publicKey
        derp.setPrivateKey(key)
    }

    /// The peer with this key, if control named it.
    package func peer(_ key: NodePublicKey) -> MagicPeer? { peers[key] }

    // MARK: Packets

    /// Sends a tunnel datagram by the best way; `flush` lets it go.
    package func send(_ datagram: Span<UInt8>, to peer: MagicPeer, now: MonotonicTime) {
        let route = peer.endpoint.route(at: now)
        peer.sentByteCount &+= UInt64(datagram.count)
        if datagram.count <= MagicsockConstants.initiationByteCount, Self.isHandshake(datagram) {
            peer.handshake = (datagram.array, now, 0)
            scheduleResends(to: peer)
        }
        if let direct = route.direct, let remote = peer.directRemote {
            (direct.address.isIPv4 ? udpIPv4 : udpIPv6)?.send(datagram, to: remote)
        }
        if route.useDERP, !sendByRelay(datagram, to: peer), route.direct == nil {
            sendToPingSource(datagram, of: peer)
        }
        if route.needsPoll { poll(peer) }
    }

    /// Answers a datagram without regard to paths: back to where it came from, by UDP or by the relay.
    package func reply(_ datagram: Span<UInt8>, to source: AddressPort, relayed: MagicPeer?) {
        if let relayed {
            _ = sendByRelay(datagram, to: relayed)
        } else if isPermitted(source), let remote = source.socketAddress {
            (source.address.isIPv4 ? udpIPv4 : udpIPv6)?.send(datagram, to: remote)
        }
    }

    /// Gives everything that was sent to the kernel and to the relays.
    package func flush() {
        udpIPv4?.flush()
        udpIPv6?.flush()
        derp.flush()
    }

    /// Whether the kernel takes datagrams as fast as they are sent; a socket that is not bound holds nobody up.
    package var isWritable: Bool {
        udpIPv4?.channel.isWritable != false && udpIPv6?.channel.isWritable != false
    }

    /// The loop's clock.
    package var now: MonotonicTime { MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    // MARK: Ways

    func sendByRelay(_ datagram: Span<UInt8>, to peer: MagicPeer) -> Bool {
        let region = relayRegion(of: peer)
        return !region.isNone && derp.send(datagram, to: peer.nodeKey, through: region)
    }

    /// The peer's home if a connection to it stands, else where it was last heard, else its home to be dialled.
    func relayRegion(of peer: MagicPeer) -> DERPRegionID {
        let home = peer.endpoint.homeDERP
        if !home.isNone, derp.isConnected(home) { return home }
        if !peer.reverseRegion.isNone, derp.isConnected(peer.reverseRegion) { return peer.reverseRegion }
        return home
    }

    private static func isHandshake(_ datagram: Span<UInt8>) -> Bool {
        switch (datagram.count, datagram.isEmpty ? 0 : datagram[0]) {
        case (MagicsockConstants.initiationByteCount, 1), (MagicsockConstants.responseByteCount, 2): true
        default: false
        }
    }

    /// The last resort: a peer without home that pinged us is at least heard from somewhere.
    private func sendToPingSource(_ datagram: Span<UInt8>, of peer: MagicPeer) {
        guard let source = peer.lastPingSource, let remote = source.socketAddress else {
            drops.noPath &+= 1
            return
        }
        (source.address.isIPv4 ? udpIPv4 : udpIPv6)?.send(datagram, to: remote)
    }

    func isPermitted(_ endpoint: AddressPort) -> Bool {
        configuration.dialPolicy.permits(endpoint.address, for: .disco)
    }

    // MARK: Sockets

    private func bind(isIPv4: Bool, port: UInt16) -> EventLoopFuture<Void> {
        let address = configuration.bindAddress ?? (isIPv4 ? .v4(.unspecified) : .v6(.unspecified))
        let receiver = UDPReceiver(owner: self, isIPv4: isIPv4)
        return UDPSocket.bind(to: AddressPort(address, port: port), eventLoop: eventLoop, receiver: receiver)
            .assumeIsolated()
            .map { [weak self] socket in
                guard let self, !self.isClosed else { return socket.close() }
                if isIPv4 { self.udpIPv4 = socket } else { self.udpIPv6 = socket }
            }
            .nonisolated()
    }

    // The kernel's refusal of one destination closes the whole channel in NIO; the node must not lose UDP for it.
    func socketClosed(isIPv4: Bool, _ error: (any Error)?) {
        guard !isClosed, let closed = isIPv4 ? udpIPv4 : udpIPv6 else { return }
        logger.debug("UDP socket closed", metadata: ["error": "\(error.map { "\($0)" } ?? "none")"])
        if isIPv4 { udpIPv4 = nil } else { udpIPv6 = nil }
        for peer in peers.values where peer.endpoint.best?.address.address.isIPv4 == isIPv4 {
            peer.endpoint.reset()
            bestChanged(peer)
        }
        rebinds += 1
        let delay = TimeAmount.milliseconds(Int64(min(rebinds * rebinds * 10, 5_000)))
        eventLoop.assumeIsolated().scheduleTask(in: delay) { [weak self] in
            guard let self, !self.isClosed else { return }
            self.bind(isIPv4: isIPv4, port: closed.localAddress.port).assumeIsolated().whenComplete { [weak self] _ in
                self?.requestEndpoints(isFull: true)
            }
        }
    }
}

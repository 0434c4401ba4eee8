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
    let origin = DatagramOrigin()
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
    var localNetworkListener: Int?
    /// What control has switched on or off.
    var switches = MagicSocketSwitches()
    var hasPlainPeers = false
    var rebinds = 0
    /// Whether the kernel takes several datagrams in one send.
    var mayGroupSends = System.supportsUDPSegmentationOffload

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
        let socket = UDPSocket(channel: channel, localAddress: localAddress, groupsSends: mayGroupSends)
        if isIPv4 { udpIPv4 = socket } else { udpIPv6 = socket }
    }

    private func begin(_ sink: any MagicSocketSink) {
        self.sink = sink
        watchLocalNetwork()
        derp.onPacket = { [unowned self] peer, region, packet in receive(relayed: packet, from: peer, by: region) }
        derp.onPeerGone = { [unowned self] peer, region in
            guard let peer = peers[peer] else { return }
            if peer.reverseRegion == region { peer.reverseRegion = .none }
            resendHandshakeSoon(to: peer)
        }
        derp.onDisconnect = { [unowned self] region in
            for peer in peers.values where peer.reverseRegion == region { peer.reverseRegion = .none }
        }
        derp.onHomeChange = { [unowned self] isConnected in
            if !isConnected { requestEndpoints() }
        }
    }

    /// Ends every socket, connection and timer; nothing is called back afterwards.
    package func close() {
        isClosed = true
        sink = nil
        localNetworkListener.map { LocalNetworkMonitor.shared.remove($0) }
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
        let names = Set(map.regions.values.flatMap(\.nodes).map(\.hostName))
        discovery.resolved = discovery.resolved.filter { names.contains($0.key) }
        derp.setRegions(map.regions)
        requestEndpoints(isFull: true)
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
        guard peer.plain == nil else { return sendPlain(datagram, to: peer) }
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

    static func isHandshake(_ datagram: Span<UInt8>) -> Bool {
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
}

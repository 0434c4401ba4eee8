import GuestNetwork
import Logging
import Magicsock
import NIOCore
import NIOSSL
import NetTypes
import NetWire
import Tailcfg
import WarrenCrypto
import WireGuard

/// The packets of one node: guest link, packet filter, WireGuard and socket, joined in one call chain.
///
/// Confined to the node's event loop; nothing in the packet path awaits, locks or allocates.
final class DataPlane {
    let eventLoop: any EventLoop
    let socket: MagicSocket
    let link: GuestLink
    let nic: NICConnection
    var device: WireGuardDevice
    var scratch = PacketScratch(byteCount: 65_536 + 128)
    var batch = NICFrameBatch()
    let filter = PacketFilter()
    /// For peers that may only answer; made when there is one.
    private var jailedFilter: PacketFilter?
    private var localAddresses: [IPPrefix] = []
    var tsmp = TSMPResponder(addresses: [])
    var drops = PlaneDrops()
    /// How many packets of the in-tunnel protocol came.
    var tsmpReceived: UInt64 = 0
    var peers = PlanePeers()
    var generator = SystemRandomNumberGenerator()
    /// Conversations of the node itself.
    let flows = NodeFlows()
    /// Asks resolvers for the guest.
    private(set) lazy var resolver = ForwardingResolver(
        plane: self,
        rule: dnsForwarding,
        policy: dialPolicy,
        tls: resolverTLS
    )
    /// Our own questions through the tunnel.
    var pings = PingBook()
    var pingTimer: Scheduled<Void>?
    /// How many questions by disco are open.
    var discoPings = 0
    /// The addresses that the node itself has.
    var ownAddresses: [IPAddress] = []
    private let report: (MagicSocketReport) -> Void
    private let logger: Logger
    private let dnsForwarding: DNSForwardingRule
    private let resolverTLS: TLSConfiguration
    private let dialPolicy: any DialPolicy
    private var timer: Scheduled<Void>?
    private var announcement: Scheduled<Void>?
    private var timerDeadline: MonotonicTime?
    private var isStopped = false
    var errorsToGuest = ErrorBudget()
    var errorsToPeers = ErrorBudget()

    /// A data plane that does nothing before `start()`.
    ///
    /// - Parameters:
    ///   - eventLoop: Where everything happens.
    ///   - nodeKey: The node's key.
    ///   - configuration: How to reach the guest and others.
    ///   - isOneMachine: Whether control is on loopback, and so relays and peers may be too.
    ///   - relayDialer: Opens relay connections; nil for the DERP client.
    ///   - report: Told what control must know about how this node can be reached; called on the loop.
    init(
        eventLoop: any EventLoop,
        nodeKey: NodePrivateKey,
        configuration: TailnetNodeConfiguration,
        isOneMachine: Bool,
        relayDialer: (any RelayDialer)? = nil,
        report: @escaping (MagicSocketReport) -> Void
    ) {
        self.eventLoop = eventLoop
        self.report = report
        logger = configuration.logger
        dnsForwarding = configuration.dnsForwarding
        resolverTLS = configuration.resolverTLS
        dialPolicy = configuration.dialPolicy
        let policy: any DialPolicy =
            isOneMachine ? OneMachinePolicy(base: configuration.dialPolicy) : configuration.dialPolicy
        var socketConfiguration = MagicSocketConfiguration(
            dialPolicy: policy,
            relayDialer: relayDialer
                ?? DERPRelayDialer(
                    policy: policy,
                    proxies: configuration.proxies,
                    transport: configuration.transport,
                    logger: configuration.logger
                ),
            logger: configuration.logger
        )
        socketConfiguration.bindAddress = configuration.udpBindAddress
        socketConfiguration.port = configuration.udpPort
        socketConfiguration.usesUDP = configuration.sendsUDP
        socketConfiguration.includesLoopback = isOneMachine
        socket = MagicSocket(eventLoop: eventLoop, nodeKey: nodeKey, configuration: socketConfiguration)
        link = GuestLink(unixTime: { UInt32(truncatingIfNeeded: WallClock.nanoseconds / 1_000_000_000) })
        nic = NICConnection(eventLoop: eventLoop, path: configuration.nicSocketPath, logger: configuration.logger)
        device = Self.makeDevice(nodeKey)
    }

    /// The key that seals this node's disco messages.
    var discoPublicKey: DiscoPublicKey { socket.discoPublicKey }

    /// Opens the sockets.
    func start() -> EventLoopFuture<Void> {
        serveGuest()
        nic.start()
        return socket.start(sink: self)
    }

    /// Begins over channels of the caller's in place of sockets.
    func start(nic channel: any Channel, udp: any Channel, at localAddress: AddressPort) throws {
        serveGuest()
        try nic.start(over: channel)
        try socket.start(sink: self, over: udp, at: localAddress)
    }

    private func serveGuest() {
        nic.onFrame = { [unowned self] frame in receive(frame: &frame) }
        nic.onReadComplete = { [unowned self] in guestReadComplete() }
        nic.onWritable = { [unowned self] in flushGuest() }
        nic.onConnect = { [unowned self] in tellGuest(link.announcement()) }
        armAnnouncement()
    }

    private func armAnnouncement() {
        announcement = eventLoop.assumeIsolated().scheduleTask(
            in: .seconds(GuestNetworkDefaults.routerAdvertisementSeconds)
        ) { [weak self] in
            guard let self else { return }
            self.tellGuest(self.link.announcement())
            self.armAnnouncement()
        }
    }

    /// Sends a frame of the link's own to the guest, if there is one.
    private func tellGuest(_ frame: ByteBuffer?) {
        guard let frame, nic.isConnected else { return }
        _ = batch.append(frame: frame.readableBytesUInt8Span)
        flushGuest()
    }

    /// Closes everything for good.
    func stop() {
        isStopped = true
        announcement?.cancel()
        tellGuest(link.configure(nil))
        nic.stop()
        socket.close()
        timer?.cancel()
        timer = nil
        failPings()
        resolver.stop()
        peers.removeAll()
    }

    // MARK: What the node says

    /// Takes a network map; with nil nothing passes any more.
    func apply(_ network: PlaneNetwork?) {
        guard !isStopped else { return }
        tellGuest(link.configure(network?.addressing))
        guard let network else {
            filter.update(rules: .denyAll, localAddresses: [])
            localAddresses = []
            jailedFilter = nil
            ownAddresses = []
            tsmp = TSMPResponder(addresses: [])
            failPings()
            resolver.apply(ownAddresses: [], usesExitNode: false)
            setPeers([])
            return
        }
        link.setZone(network.zone)
        resolver.apply(ownAddresses: network.ownAddresses, usesExitNode: network.usesExitNode)
        localAddresses = network.localAddresses
        update(network.filterRules, shieldsUp: network.isShieldsUp)
        jailedFilter?.update(rules: .denyAll, localAddresses: localAddresses, shieldsUp: true)
        ownAddresses = network.ownAddresses
        tsmp = TSMPResponder(addresses: ownAddresses)
        socket.setSwitches(network.switches)
        setPeers(network.peers)
        if let map = network.derpMap { socket.setDERPMap(map) }
    }

    /// Takes what became of single peers since the last network map.
    func apply(_ change: PlaneChange) {
        guard !isStopped else { return }
        for id in change.removed { removePeer(id) }
        for peer in change.peers { setPeer(peer) }
        if let rules = change.filterRules { update(rules, shieldsUp: filter.isShieldsUp) }
        switch change.names {
        case .some(.some(let leaving, let joining)): link.changeZone(leaving: leaving, joining: joining)
        case .some(.all(let zone)): link.setZone(zone)
        case nil: break
        }
        socket.flush()
    }

    private func update(_ rules: PacketFilterRules, shieldsUp: Bool) {
        for problem in rules.problems {
            logger.warning("packet filter rule not used", metadata: ["problem": "\(problem)"])
        }
        filter.update(rules: rules, localAddresses: localAddresses, shieldsUp: shieldsUp)
    }

    /// The filter that a peer's packets go through.
    func filter(for peer: PlanePeer) -> PacketFilter { peer.isJailed ? jailedFilter ?? filter : filter }

    /// Takes a new node key: sessions under the old one are worth nothing.
    func setNodeKey(_ key: NodePrivateKey) {
        failPings()
        let previous = device
        let known = Array(peers.values)
        device = Self.makeDevice(key)
        peers.removeAll()
        socket.setNodeKey(key)
        for peer in known {
            let index = device.setPeer(
                peer.path.nodeKey,
                allowedIPs: previous.allowedIPs(of: peer.index),
                routes: previous.routes(of: peer.index)
            )
            let entry = PlanePeer(id: peer.id, index: index, path: peer.path)
            entry.isJailed = peer.isJailed
            peers.insert(entry)
        }
    }

    /// Tells whether the map poll is up.
    func setControlConnected(_ isConnected: Bool) { socket.controlIsConnected = isConnected }

    /// What is known at this moment, for the API.
    func snapshot() -> PlaneSnapshot {
        let now = socket.now
        var known: [NodeID: PlaneSnapshot.Peer] = [:]
        for peer in peers.values {
            known[peer.id] = PlaneSnapshot.Peer(
                path: socket.status(of: peer.path),
                handshakeAge: device.statistics(of: peer.index)?.lastHandshakeAt.map { now - $0 }
            )
        }
        let prefixes = peers.values.flatMap { device.allowedIPs(of: $0.index).map(\.description) }
        return PlaneSnapshot(
            peers: known,
            report: socket.report,
            dns: resolver.snapshot,
            netCheck: socket.netCheck,
            relays: socket.relays,
            routes: prefixes.sorted(),
            drops: dropsByReason
        )
    }

    private func setPeers(_ wanted: [PlaneNetwork.Peer]) {
        let ids = Set(wanted.map(\.id))
        for id in peers.values.map(\.id) where !ids.contains(id) { removePeer(id) }
        for peer in wanted { setPeer(peer) }
        socket.flush()
    }

    private func setPeer(_ peer: PlaneNetwork.Peer) {
        let known = peers[peer.id]
        // Another node key is another peer to everyone but control.
        if let known, known.path.nodeKey != peer.path.nodeKey { removePeer(peer.id) }
        let previousDiscoKey = known?.path.nodeKey == peer.path.nodeKey ? known?.path.discoKey : nil
        let path = socket.setPeer(peer.path)
        let index = device.setPeer(peer.path.nodeKey, allowedIPs: peer.allowedIPs, routes: peer.routes)
        if let previousDiscoKey, previousDiscoKey != path.discoKey, !previousDiscoKey.isZero {
            // The peer restarted, and its session keys with it; a first key only means that control knows it by now.
            device.resetSessions(of: index)
        }
        let entry = peers[index] ?? PlanePeer(id: peer.id, index: index, path: path)
        entry.isJailed = peer.isJailed
        if peer.isJailed, jailedFilter == nil {
            let jailedFilter = PacketFilter()
            jailedFilter.update(rules: .denyAll, localAddresses: localAddresses, shieldsUp: true)
            self.jailedFilter = jailedFilter
        }
        peers.insert(entry)
    }

    private func removePeer(_ id: NodeID) {
        guard let peer = peers[id] else { return }
        peers.remove(id)
        device.removePeer(peer.index)
        socket.removePeer(peer.path.nodeKey)
    }

    private static func makeDevice(_ key: NodePrivateKey) -> WireGuardDevice {
        let now = MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds)
        return WireGuardDevice(
            privateKey: key,
            clock: TimestampClock(anchor: now, unixNanoseconds: WallClock.nanoseconds)
        )
    }

    // MARK: Time

    /// Sends what WireGuard produced by itself, and sets its timer.
    func sendOutgoing(now: MonotonicTime, source: AddressPort? = nil, relayed: MagicPeer? = nil) {
        for message in device.takeOutgoing() {
            switch message.destination {
            case .peer(let index):
                if let peer = peers[index] { socket.send(message.bytes.span, to: peer.path, now: now) }
            case .source(let address):
                socket.reply(message.bytes.span, to: address, relayed: source == address ? relayed : nil)
            }
        }
    }

    /// Makes sure that WireGuard is asked when something of it is due.
    func armTimer() {
        guard let deadline = device.nextDeadline, !isStopped else { return }
        if let timerDeadline, timerDeadline <= deadline { return }
        timer?.cancel()
        timerDeadline = deadline
        timer = eventLoop.assumeIsolated().scheduleTask(
            deadline: .uptimeNanoseconds(deadline.nanoseconds)
        ) { [weak self] in
            guard let self else { return }
            self.timerDeadline = nil
            let now = self.socket.now
            self.device.tick(now: now)
            self.sendOutgoing(now: now)
            self.socket.flush()
            self.armTimer()
        }
    }

    func tell(_ report: MagicSocketReport) { self.report(report) }
}

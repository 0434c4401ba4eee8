import Logging
import NIOCore
import NetTypes
import Tailcfg
import WarrenCrypto

/// The relay connections of one node: home always, others while something is sent through them.
///
/// Confined to the node's event loop.
final class DERPConnections {
    /// Receives a packet that a relay delivered.
    var onPacket: ((NodePublicKey, DERPRegionID, ByteBuffer) -> Void)?
    /// Learns that a peer cannot be reached through a region any more.
    var onPeerGone: ((NodePublicKey, DERPRegionID) -> Void)?
    /// Learns that a connection ended, and with it what was reachable through it.
    var onDisconnect: ((DERPRegionID) -> Void)?
    /// Learns that the connection to the home region came up, failed or ended.
    var onHomeChange: ((_ isConnected: Bool) -> Void)?

    private let eventLoop: any EventLoop
    private let dialer: any RelayDialer
    private var privateKey: NodePrivateKey
    private let logger: Logger
    private var regions: [DERPRegionID: DERPRegion] = [:]
    private var lanes: [DERPRegionID: Lane] = [:]
    private var sweep: Scheduled<Void>?
    private var isClosed = false
    // Whether the first attempt at a home is over: until then it has the machine, and the resolver, to itself.
    private var isSettled = false
    private(set) var home: DERPRegionID = .none

    private enum LaneState {
        case idle
        case dialing
        case connected(any RelayConnection)
        case waiting(Scheduled<Void>)
    }

    private final class Lane {
        let region: DERPRegion
        var state = LaneState.idle
        var queue = CircularBuffer<(NodePublicKey, ByteBuffer)>()
        var lastWrite = NIODeadline.now()
        var lastFrame: NIODeadline?
        var failures = 0
        var connectedAt: NIODeadline?
        // Events of a connection that was given up must not touch its successor.
        var generation = 0
        var needsFlush = false
        /// What the relay complains about.
        var problem: String?

        init(region: DERPRegion) { self.region = region }
    }

    init(eventLoop: any EventLoop, dialer: any RelayDialer, privateKey: NodePrivateKey, logger: Logger) {
        self.eventLoop = eventLoop
        self.dialer = dialer
        self.privateKey = privateKey
        self.logger = logger
    }

    // MARK: What is wanted

    /// Takes the regions of the current map; a region that was redefined is reconnected.
    func setRegions(_ new: [DERPRegionID: DERPRegion]) {
        regions = new
        for (id, lane) in lanes where new[id] != lane.region { drop(id, lane) }
        openHome()
    }

    /// Moves home; both relays concerned are told.
    func setHome(_ region: DERPRegionID) {
        guard region != home else { return }
        let previous = home
        home = region
        if case .connected(let connection) = lanes[previous]?.state { connection.notePreferred(false) }
        if case .connected(let connection) = lanes[region]?.state { connection.notePreferred(true) }
        openHome()
        armSweep()
    }

    /// Takes a new node key: it is the identity on every relay, so all connections start over.
    func setPrivateKey(_ key: NodePrivateKey) {
        privateKey = key
        for (id, lane) in lanes { drop(id, lane) }
        openHome()
    }

    /// Ends everything for good.
    func close() {
        isClosed = true
        sweep?.cancel()
        for (id, lane) in lanes { drop(id, lane) }
        onPacket = nil
        onPeerGone = nil
        onDisconnect = nil
        onHomeChange = nil
    }

    // MARK: Packets

    /// Whether a packet through this region would leave at once.
    func isConnected(_ region: DERPRegionID) -> Bool {
        if case .connected = lanes[region]?.state { true } else { false }
    }

    /// When this region last delivered anything.
    func lastFrame(from region: DERPRegionID) -> NIODeadline? { lanes[region]?.lastFrame }

    /// The short code of a region, for display.
    func code(of region: DERPRegionID) -> String {
        regions[region].map { $0.regionCode.isEmpty ? "\(region)" : $0.regionCode } ?? "\(region)"
    }

    /// The connections that stand or are wanted, by region.
    var status: [RelayStatus] {
        lanes.values.map { lane in
            let state: RelayStatus.State =
                switch lane.state {
                case .idle, .dialing: .connecting
                case .connected: .connected
                case .waiting: .waiting
                }
            let id = lane.region.regionID
            return RelayStatus(
                region: id,
                code: code(of: id),
                isHome: id == home,
                state: state,
                problem: lane.problem
            )
        }.sorted { $0.region < $1.region }
    }

    /// Sends through a region, dialling it when necessary; false when the region is not in the map.
    func send(_ packet: Span<UInt8>, to peer: NodePublicKey, through region: DERPRegionID) -> Bool {
        guard let lane = lane(for: region) else { return false }
        lane.lastWrite = .now()
        if case .connected(let connection) = lane.state {
            connection.send(packet, to: peer)
            lane.needsFlush = true
            return true
        }
        // Like the reference: a short queue that drops its oldest packet.
        if lane.queue.count >= 32 { lane.queue.removeFirst() }
        var copy = ByteBuffer()
        copy.writeBytes(packet.bytes)
        lane.queue.append((peer, copy))
        if case .idle = lane.state, mayDial(region) { dial(lane) }
        return true
    }

    /// Has every relay that is connected prove it, as after a change of the local network.
    func check() {
        for lane in lanes.values {
            guard case .connected(let connection) = lane.state else { continue }
            let (generation, askedAt) = (lane.generation, NIODeadline.now())
            connection.ping()
            let limit = TimeAmount.nanoseconds(MagicsockConstants.relayCheckTimeout.wholeNanoseconds)
            eventLoop.assumeIsolated().scheduleTask(in: limit) { [weak self, weak lane] in
                guard let self, let lane, lane.generation == generation, !self.isClosed,
                    lane.lastFrame.map({ $0 < askedAt }) ?? true
                else { return }
                connection.close()
                self.failed(lane, after: nil)
            }
        }
    }

    /// Sends what was queued since the last flush.
    func flush() {
        for lane in lanes.values where lane.needsFlush {
            lane.needsFlush = false
            if case .connected(let connection) = lane.state { connection.flush() }
        }
    }

    // MARK: Connections

    private func lane(for region: DERPRegionID) -> Lane? {
        if let lane = lanes[region] { return lane }
        guard !isClosed, let definition = regions[region] else { return nil }
        let lane = Lane(region: definition)
        lanes[region] = lane
        armSweep()
        return lane
    }

    private func mayDial(_ region: DERPRegionID) -> Bool {
        guard !isSettled, region != home, case .dialing = lanes[home]?.state else { return true }
        return false
    }

    private func settle() {
        guard !isSettled else { return }
        isSettled = true
        for lane in lanes.values where !lane.queue.isEmpty {
            if case .idle = lane.state { dial(lane) }
        }
    }

    private func openHome() {
        guard !isClosed, !home.isNone, let lane = lane(for: home) else { return }
        if case .idle = lane.state { dial(lane) }
    }

    private func dial(_ lane: Lane) {
        lane.state = .dialing
        lane.generation += 1
        let generation = lane.generation
        dialer.connect(to: lane.region, privateKey: privateKey, eventLoop: eventLoop) { [weak self, weak lane] event in
            guard let self, let lane, lane.generation == generation else { return }
            self.handle(event, lane)
        }
        .assumeIsolated()
        .whenComplete { [weak self] result in
            guard let self, lane.generation == generation, case .dialing = lane.state else {
                if case .success(let late) = result { late.close() }
                return
            }
            switch result {
            case .success(let connection): self.connected(lane, connection)
            case .failure(let error):
                self.logger.debug(
                    "relay not reached",
                    metadata: ["region": "\(lane.region.regionID)", "error": "\(error)"]
                )
                self.failed(lane, after: nil)
            }
        }
    }

    private func connected(_ lane: Lane, _ connection: any RelayConnection) {
        lane.state = .connected(connection)
        lane.connectedAt = .now()
        lane.problem = nil
        lane.lastFrame = .now()
        let isHome = lane.region.regionID == home
        if isHome { connection.notePreferred(true) }
        while let (peer, packet) = lane.queue.popFirst() {
            connection.send(packet.readableBytesUInt8Span, to: peer)
        }
        connection.flush()
        logger.debug("relay connected", metadata: ["region": "\(lane.region.regionID)"])
        if isHome {
            settle()
            onHomeChange?(true)
        }
    }

    private func handle(_ event: RelayEvent, _ lane: Lane) {
        lane.lastFrame = .now()
        switch event {
        case .received(let peer, let packet): onPacket?(peer, lane.region.regionID, packet)
        case .peerGone(let peer): onPeerGone?(peer, lane.region.regionID)
        case .alive: break
        case .health(let problem):
            lane.problem = problem
            logger.debug(
                "relay health",
                metadata: ["region": "\(lane.region.regionID)", "problem": "\(problem ?? "")"]
            )
        case .restarting(let delay):
            if case .connected(let connection) = lane.state { connection.close() }
            failed(lane, after: min(delay, MagicsockConstants.derpMaximumAdvice))
        case .closed: failed(lane, after: nil)
        }
    }

    private func failed(_ lane: Lane, after advised: Duration?) {
        let id = lane.region.regionID
        let isHome = id == home
        lane.generation += 1
        // A relay that takes every login and ends it at once is one that fails, too.
        if let since = lane.connectedAt, NIODeadline.now() - since > TimeAmount(MagicsockConstants.derpStableAfter) {
            lane.failures = 0
        }
        if lane.connectedAt != nil { onDisconnect?(id) }
        lane.connectedAt = nil
        lane.failures += 1
        guard isHome || !lane.queue.isEmpty else {
            lanes[id] = nil
            return
        }
        // Many nodes hear the same advice, and must not follow it in the same instant.
        let delay = backOff(lane.failures) + (advised.map { TimeAmount($0 * Double.random(in: 1..<1.2)) } ?? .zero)
        lane.state = .waiting(
            eventLoop.assumeIsolated().scheduleTask(in: delay) { [weak self, weak lane] in
                guard let self, let lane, case .waiting = lane.state else { return }
                if id != self.home { lane.queue.removeAll() }
                self.dial(lane)
            }
        )
        if isHome {
            settle()
            onHomeChange?(false)
        }
    }

    private func backOff(_ failures: Int) -> TimeAmount {
        let longest = MagicsockConstants.derpMaximumBackOff.wholeNanoseconds
        let step = min(Int64(failures * failures) * 10_000_000, longest)
        return .nanoseconds(min(Int64(Double(step) * Double.random(in: 0.5..<1.5)), longest))
    }

    private func drop(_ id: DERPRegionID, _ lane: Lane) {
        lane.generation += 1
        switch lane.state {
        case .connected(let connection): connection.close()
        case .waiting(let retry): retry.cancel()
        case .idle, .dialing: break
        }
        lane.state = .idle
        lanes[id] = nil
        if lane.connectedAt != nil { onDisconnect?(id) }
    }

    private func armSweep() {
        guard sweep == nil, !isClosed, lanes.keys.contains(where: { $0 != home }) else { return }
        let interval = TimeAmount.nanoseconds(MagicsockConstants.derpSweepInterval.wholeNanoseconds)
        sweep = eventLoop.assumeIsolated().scheduleTask(in: interval) { [weak self] in
            guard let self else { return }
            self.sweep = nil
            let idle = TimeAmount.nanoseconds(MagicsockConstants.derpIdleTimeout.wholeNanoseconds)
            let now = NIODeadline.now()
            for (id, lane) in self.lanes where id != self.home && now - lane.lastWrite > idle { self.drop(id, lane) }
            self.armSweep()
        }
    }
}

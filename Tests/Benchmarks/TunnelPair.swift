import Coordination
import Logging
import Magicsock
import NIOCore
import NIOPosix
import NetTypes
import Synchronization
import Tailcfg
import WarrenCrypto
import WireGuard

/// What both ends of a tunnel and whoever measures it look at.
final class TunnelCounters: Sendable {
    /// Packets that the far end opened.
    let received = Atomic<Int>(0)
    /// Whether the near end goes on sending.
    let isSending = Atomic<Bool>(false)
    /// When the near end's path became direct, in the loops' nanoseconds; 0 before.
    let directAt = Atomic<UInt64>(0)
}

/// One node without a guest: the real socket and the real tunnel, and nothing that looks at packets.
final class TunnelEnd: MagicSocketSink {
    static let packetByteCount = 1280

    let key = NodePrivateKey()
    let socket: MagicSocket
    let eventLoop: any EventLoop
    private let device: WireGuardDevice
    private let counters: TunnelCounters
    private let window: Int
    private var reported: EventLoopPromise<MagicSocketReport>?
    private var peer: (index: PeerIndex, path: MagicPeer)?
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private let packet: [UInt8]
    private var sent = 0
    private var progress: (received: Int, at: MonotonicTime) = (0, .zero)

    private struct OpenPolicy: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { true }
    }

    /// An end that is not started; the near one sends, with no more than `window` packets on their way.
    init(eventLoop: any EventLoop, usesUDP: Bool, window: Int, isNear: Bool, counters: TunnelCounters) {
        self.eventLoop = eventLoop
        self.counters = counters
        self.window = window
        let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        var configuration = MagicSocketConfiguration(
            dialPolicy: OpenPolicy(),
            relayDialer: DERPRelayDialer(policy: OpenPolicy(), logger: logger),
            logger: logger
        )
        configuration.bindAddress = .v4(.loopback)
        configuration.usesUDP = usesUDP
        configuration.includesLoopback = true
        socket = MagicSocket(eventLoop: eventLoop, nodeKey: key, configuration: configuration)
        device = WireGuardDevice(
            privateKey: key,
            clock: TimestampClock(anchor: socket.now, unixNanoseconds: 1_800_000_000_000_000_000)
        )
        let octets = Self.packetByteCount
        packet =
            [
                0x45, 0, UInt8(octets >> 8), UInt8(octets & 255), 0, 0, 0, 0, 64, 17, 0, 0, 100, 64, 0, isNear ? 1 : 2,
                100, 64, 0, isNear ? 2 : 1,
            ] + [UInt8](repeating: 0x5A, count: octets - 20)
    }

    deinit { buffer.deallocate() }

    /// Opens the socket, and is done when it has told what control would be told.
    func start(_ map: DERPMap) -> EventLoopFuture<MagicSocketReport> {
        let promise = eventLoop.makePromise(of: MagicSocketReport.self)
        reported = promise
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        socket.start(sink: self).whenSuccess { bound.value.socket.setDERPMap(map) }
        return promise.futureResult
    }

    /// Names the one peer.
    func meet(_ key: NodePublicKey, _ disco: DiscoPublicKey, _ endpoints: [AddressPort], at address: IPv4Address) {
        let description = MagicPeerDescription(nodeKey: key, discoKey: disco, homeDERP: 900, endpoints: endpoints)
        let path = socket.setPeers([description])[0]
        peer = (device.setPeer(key, allowedIPs: [IPPrefix(.v4(address))]), path)
    }

    /// Sends bursts for as long as the counters say so.
    func pump() {
        guard counters.isSending.load(ordering: .relaxed) else { return }
        let received = counters.received.load(ordering: .relaxed)
        let now = socket.now
        if received != progress.received {
            progress = (received, now)
        } else if now - progress.at > .milliseconds(20) {
            // What is not there by now was lost on the way.
            (sent, progress.at) = (received, now)
        }
        var count = 0
        while count < 64, sent - received < window, socket.isWritable {
            sendOne(now)
            count += 1
            sent += 1
        }
        socket.flush()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { bound.value.pump() }
    }

    /// Sends a single packet.
    func sendOne(_ now: MonotonicTime) {
        guard let peer else { return }
        packet.withUnsafeBytes { octets in
            UnsafeMutableRawBufferPointer(rebasing: buffer[MessageLength.transportHeader...]).copyMemory(from: octets)
        }
        let verdict = withBuffer(packet.count + MessageLength.transportOverhead) { octets in
            device.encapsulate(
                &octets,
                packetAt: MessageLength.transportHeader,
                count: Self.packetByteCount,
                to: peer.index,
                now: now
            )
        }
        if case .sealed(let range) = verdict {
            send(UnsafeRawBufferPointer(rebasing: buffer[range]), to: peer.path, now: now)
        }
        sendOutgoing(now)
    }

    private func send(_ octets: UnsafeRawBufferPointer, to path: MagicPeer, now: MonotonicTime) {
        socket.send(Span<UInt8>(_unsafeBytes: octets), to: path, now: now)
    }

    /// Ends everything.
    func stop() { socket.close() }

    // MARK: MagicSocketSink

    func magicSocketReceived(_ datagram: Span<UInt8>, from source: AddressPort, relayed: MagicPeer?) {
        let now = socket.now
        let verdict = withBuffer(datagram.count) { octets in
            octets.store(datagram, at: 0)
            return device.decapsulate(&octets, from: source, now: now)
        }
        if case .packet = verdict { counters.received.wrappingAdd(1, ordering: .relaxed) }
        peer?.path.noteAnswered(byteCount: datagram.count)
        sendOutgoing(now)
    }

    func magicSocketReadComplete() { socket.flush() }
    func magicSocketWritabilityChanged() {}
    func magicSocketReportChanged(_ report: MagicSocketReport) {
        reported?.succeed(report)
        reported = nil
    }
    func magicSocketPathChanged(_ peer: MagicPeer) {
        if peer.endpoint.best != nil { counters.directAt.store(socket.now.nanoseconds, ordering: .relaxed) }
    }

    private func sendOutgoing(_ now: MonotonicTime) {
        guard device.hasOutgoing, let peer else { return }
        for message in device.takeOutgoing() { socket.send(message.bytes.span, to: peer.path, now: now) }
    }

    private func withBuffer<Result>(_ count: Int, _ body: (inout MutableRawSpan) -> Result) -> Result {
        var span = MutableRawSpan(_unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
        return body(&span)
    }
}

/// Two nodes on two loops and a real relay on a third, on this machine.
final class TunnelPair: Sendable {
    let counters = TunnelCounters()
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
    private let relay: DERPRelay
    private let near: NIOLoopBound<TunnelEnd>
    private let far: NIOLoopBound<TunnelEnd>
    private let reports: (near: MagicSocketReport, far: MagicSocketReport)

    init(usesUDP: Bool, window: Int) throws {
        let certificate = try DERPCertificate.make(host: "127.0.0.1")
        let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        let relayConfiguration = DERPRelayConfiguration(
            host: "127.0.0.1",
            port: 0,
            privateKey: NodePrivateKey(),
            certificate: certificate
        )
        let loops = (near: group.next(), far: group.next(), relay: group.next())
        relay = try loops.relay.makeFutureWithTask {
            try await DERPRelay.start(relayConfiguration, eventLoop: loops.relay, logger: logger) { _ in true }
        }.wait()
        var node = DERPNode(name: "900a", regionID: 900, hostName: "127.0.0.1")
        (node.ipv4, node.ipv6, node.stunPort) = ("127.0.0.1", "none", -1)
        (node.derpPort, node.certName) = (relay.port, certificate.certName)
        let region = DERPRegion(regionID: 900, regionCode: "here", regionName: "Here", nodes: [node])
        let map = DERPMap(regions: [900: region])
        let counters = counters
        func end(_ loop: any EventLoop, isNear: Bool) throws -> (NIOLoopBound<TunnelEnd>, MagicSocketReport) {
            let end = try loop.submit {
                let end = TunnelEnd(
                    eventLoop: loop,
                    usesUDP: usesUDP,
                    window: window,
                    isNear: isNear,
                    counters: counters
                )
                return NIOLoopBound(end, eventLoop: loop)
            }.wait()
            return (end, try loop.flatSubmit { end.value.start(map) }.wait())
        }
        let (near, nearReport) = try end(loops.near, isNear: true)
        let (far, farReport) = try end(loops.far, isNear: false)
        (self.near, self.far) = (near, far)
        reports = (nearReport, farReport)
    }

    /// Has the nodes know each other, with or without the addresses of each other.
    func introduce(byAddress: Bool) throws {
        let identities = try [near, far].map { end in
            try end.eventLoop.submit { (end.value.key.publicKey, end.value.socket.discoPublicKey) }.wait()
        }
        let (near, far) = (near, far)
        let endpoints = (
            near: byAddress ? reports.near.endpoints.map(\.address) : [],
            far: byAddress ? reports.far.endpoints.map(\.address) : []
        )
        try far.eventLoop.submit {
            far.value.meet(identities[0].0, identities[0].1, endpoints.near, at: IPv4Address(100, 64, 0, 1))
        }.wait()
        try near.eventLoop.submit {
            near.value.meet(identities[1].0, identities[1].1, endpoints.far, at: IPv4Address(100, 64, 0, 2))
        }.wait()
    }

    /// Sends one packet and waits until it is there.
    func sendOne() throws {
        let before = counters.received.load(ordering: .relaxed)
        let near = near
        try near.eventLoop.submit {
            near.value.sendOne(near.value.socket.now)
            near.value.socket.flush()
        }.wait()
        try wait(atMost: .seconds(10)) { self.counters.received.load(ordering: .relaxed) > before }
    }

    /// The time from a packet that goes by relay to a direct path, in milliseconds.
    func upgrade() throws -> Double {
        let start = MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds)
        try introduce(byAddress: true)
        try sendOne()
        try wait(atMost: .seconds(10)) { self.counters.directAt.load(ordering: .relaxed) != 0 }
        let end = MonotonicTime(nanoseconds: counters.directAt.load(ordering: .relaxed))
        return max(0, (end - start).fractionalSeconds * 1_000)
    }

    /// Megabits of packets a second that arrive, over `duration`.
    func throughput(for duration: Duration) throws -> Double {
        let near = near
        counters.isSending.store(true, ordering: .relaxed)
        near.eventLoop.execute { near.value.pump() }
        // The first tenth of a second warms caches.
        Self.sleep(.milliseconds(100))
        let clock = ContinuousClock()
        let (start, before) = (clock.now, counters.received.load(ordering: .relaxed))
        Self.sleep(duration)
        let count = counters.received.load(ordering: .relaxed) - before
        let elapsed = (clock.now - start).fractionalSeconds
        counters.isSending.store(false, ordering: .relaxed)
        return Double(count * TunnelEnd.packetByteCount * 8) / elapsed / 1e6
    }

    /// Ends everything.
    func stop() throws {
        for end in [near, far] { try end.eventLoop.submit { end.value.stop() }.wait() }
        let relay = relay
        try group.any().makeFutureWithTask { try await relay.shutdown() }.wait()
        try group.syncShutdownGracefully()
    }

    private struct TooSlow: Error {}

    private func wait(atMost limit: Duration, until isDone: () -> Bool) throws {
        let end = ContinuousClock().now + limit
        while !isDone() {
            guard ContinuousClock().now < end else { throw TooSlow() }
            Self.sleep(.microseconds(200))
        }
    }

    private static func sleep(_ duration: Duration) {
        let ready = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: TimeAmount(duration)) {}
        // Nobody cancels it.
        try? ready.futureResult.wait()
    }
}

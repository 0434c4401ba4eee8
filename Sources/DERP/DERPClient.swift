package import Logging
package import NIOCore
import NIOSSL
package import NetTypes
package import Tailcfg
package import Transport
package import WarrenCrypto

/// Something that a DERP connection reports, on its event loop.
package enum DERPEvent: Equatable, Sendable {
    /// The login is complete; what was queued is on its way.
    case connected(serverKey: NodePublicKey)
    /// A packet from a peer.
    case received(from: NodePublicKey, packet: ByteBuffer)
    /// A peer left the region, or is not connected to it.
    case peerGone(NodePublicKey, DERPPeerGoneReason)
    /// The answer to a ping.
    case pong(UInt64)
    /// The server's sign of life.
    case keepAlive
    /// A problem that the server reports; nil when it is over.
    case health(String?)
    /// The server restarts: reconnect after the first time, and try for the second.
    case restarting(reconnectAfter: Duration, tryFor: Duration)
    /// The connection did not come about or ended; the last event. `close()` is not reported.
    case closed(DERPError)
}

/// One connection to a DERP region.
///
/// Confined to its event loop, like all its events. Nothing here reconnects: whoever owns the client makes another one. Writing never
/// blocks: while the connection is not up or its peer does not read, up to 32 packets wait and the oldest gives way.
package final class DERPClient {
    private enum State { case idle, dialing, greeting, loggingIn, running, closed }

    private let region: DERPRegion
    private let eventLoop: any EventLoop
    private let policy: any DialPolicy
    private let proxies: ProxySettings
    private let transport: StreamTransport
    private let scope: DialScope
    private let logger: Logger
    private let loginDeadline: Duration
    private let readDeadline: Duration
    private let sink: (DERPEvent) -> Void

    private var state = State.idle
    private var handshake: DERPClientHandshake
    private var channel: (any Channel)?
    private var context: ChannelHandlerContext?
    private var queue = CircularBuffer<ByteBuffer>(initialCapacity: DERPConstants.sendQueueCount)
    // What was sent since the last flush: one write for TLS to seal instead of one a packet.
    private var batch = ByteBuffer()
    private var isBatchWritten = false
    private var bucket: DERPTokenBucket?
    private var isPreferred: Bool?
    private var certificateFault: DERPCertificateFault?
    private var lastRead = NIODeadline.now()
    private var alarm: Scheduled<Void>?

    /// Whether WebSocket carries the frames, asked for or because the raw upgrade was refused.
    package private(set) var usesWebSocket: Bool
    /// How many packets gave way because the connection was too slow or one was too large.
    package private(set) var droppedPackets = 0

    /// A client that has not dialled; `sink` gets every event, on `eventLoop`.
    package init(
        region: DERPRegion,
        privateKey: NodePrivateKey,
        eventLoop: any EventLoop,
        policy: any DialPolicy,
        proxies: ProxySettings = .none,
        transport: StreamTransport = .auto,
        logger: Logger,
        loginDeadline: Duration = DERPConstants.loginDeadline,
        readDeadline: Duration = DERPConstants.readDeadline,
        sink: @escaping (DERPEvent) -> Void
    ) {
        self.region = region
        self.eventLoop = eventLoop
        self.policy = policy
        self.proxies = proxies
        self.transport = transport
        usesWebSocket = transport == .webSocket
        scope = DialScope(eventLoop: eventLoop)
        self.logger = logger
        self.loginDeadline = loginDeadline
        self.readDeadline = readDeadline
        self.sink = sink
        handshake = DERPClientHandshake(privateKey: privateKey)
    }

    /// Whether packets go out at once.
    package var isConnected: Bool { state == .running }

    /// Dials the nodes of the region in their order and logs in, all within ten seconds.
    package func start() {
        eventLoop.assertInEventLoop()
        guard state == .idle else { return }
        state = .dialing
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        alarm = eventLoop.scheduleTask(in: TimeAmount(loginDeadline)) { bound.value.fail(.timedOut) }
        dial()
    }

    /// Queues a packet for a peer; `flush()` sends what a batch of calls queued.
    package func send(_ packet: ByteBuffer, to peer: NodePublicKey) {
        send(packet.readableBytesUInt8Span, to: peer)
    }

    /// Queues a packet for a peer; `flush()` sends what a batch of calls queued.
    package func send(_ packet: Span<UInt8>, to peer: NodePublicKey) {
        eventLoop.assertInEventLoop()
        guard state != .closed, packet.count <= DERPConstants.maximumPacketByteCount, mayPass(packet.count) else {
            droppedPackets += 1
            return
        }
        if state == .running, queue.isEmpty, let context, context.channel.isWritable {
            if isBatchWritten {
                isBatchWritten = false
                batch.clear(minimumCapacity: batch.capacity)
            }
            DERPFrame.append(packet, as: .sendPacket, key: peer, to: &batch)
            if batch.readableBytes >= DERPConstants.batchByteCount { writeBatch() }
            return
        }
        if queue.count >= DERPConstants.sendQueueCount {
            queue.removeFirst()
            droppedPackets += 1
        }
        var frame = ByteBuffer()
        DERPFrame.append(packet, as: .sendPacket, key: peer, to: &frame)
        queue.append(frame)
    }

    /// Hands what was written to the network.
    package func flush() {
        writeBatch()
        context?.flush()
    }

    private func writeBatch() {
        guard !isBatchWritten, batch.readableBytes > 0 else { return }
        isBatchWritten = true
        context?.write(NIOAny(batch), promise: nil)
    }

    private func mayPass(_ byteCount: Int) -> Bool {
        let whole = DERPConstants.frameHeaderByteCount + NodePublicKey.byteCount + byteCount
        return bucket?.take(whole, now: eventLoop.now) ?? true
    }

    /// Tells the server whether this region is the node's home, now and right after the login.
    package func notePreferred(_ isPreferred: Bool) {
        eventLoop.assertInEventLoop()
        guard self.isPreferred != isPreferred else { return }
        self.isPreferred = isPreferred
        if state == .running { write(.notePreferred(isPreferred)) }
    }

    /// Asks for a pong with the same number.
    package func ping(_ number: UInt64) {
        if state == .running { write(.ping(number)) }
    }

    /// Ends the connection without an event.
    package func close() {
        eventLoop.assertInEventLoop()
        guard state != .closed else { return }
        state = .closed
        tearDown()
    }

    // MARK: - Coming up

    private func dial() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        DERPDialer(eventLoop: eventLoop, policy: policy, proxies: proxies, scope: scope)
            .dial(region)
            .whenComplete { bound.value.dialed($0) }
    }

    private func dialed(_ result: Result<(any Channel, DERPNode), any Error>) {
        switch result {
        case .failure(let error):
            fail(DERPError(mapping: error))
        case .success((let channel, let node)):
            guard state == .dialing else { return channel.close(promise: nil) }
            self.channel = channel
            do {
                try channel.pipeline.syncOperations.addHandler(makeTLS(for: node))
            } catch {
                return fail(DERPError(mapping: error))
            }
            DERPDialer.upgrade(channel, to: node, in: region, byWebSocket: usesWebSocket) { [self] channel in
                guard state == .dialing else { throw DERPError.connectionClosed }
                try channel.pipeline.syncOperations.addHandler(DERPClientHandler(client: self))
            }
            .assumeIsolated().whenFailure { self.upgradeFailed(DERPError(mapping: $0)) }
        }
    }

    private func upgradeFailed(_ error: DERPError) {
        guard state == .dialing else { return }
        // What answers but does not upgrade is often a reverse proxy that knows WebSocket alone.
        guard case .upgradeRefused = error, transport == .auto, !usesWebSocket else { return fail(error) }
        usesWebSocket = true
        channel?.close(promise: nil)
        channel = nil
        dial()
    }

    private func makeTLS(for node: DERPNode) throws -> NIOSSLClientHandler {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let eventLoop = eventLoop
        let verifier = DERPCertificateVerifier(
            rule: DERPCertificateRule(
                certName: node.certName,
                hostName: node.hostName,
                insecureForTests: node.insecureForTests
            ),
            hostName: node.hostName
        )
        return try verifier.makeHandler { fault in
            if eventLoop.inEventLoop {
                bound.value.certificateFault = fault
            } else {
                eventLoop.execute { bound.value.certificateFault = fault }
            }
        }
    }

    fileprivate func attached(_ context: ChannelHandlerContext) {
        self.context = context
        state = .greeting
    }

    // MARK: - Frames

    /// The largest payload that may come now.
    fileprivate var maximumByteCount: Int {
        state == .greeting ? DERPConstants.maximumGreetingByteCount : DERPConstants.maximumFrameByteCount
    }

    fileprivate func receive(_ frame: DERPFrame) {
        lastRead = eventLoop.now
        do throws(DERPError) {
            switch state {
            case .greeting:
                write(try handshake.greet(frame))
                state = .loggingIn
            case .loggingIn:
                guard case .serverInfo(let sealed) = frame else { return }
                bucket = DERPTokenBucket(try handshake.open(serverInfo: sealed), now: eventLoop.now)
                loggedIn()
            case .running:
                try steady(frame)
            case .idle, .dialing, .closed:
                break
            }
        } catch {
            fail(error)
        }
    }

    private func loggedIn() {
        guard let serverKey = handshake.serverKey else { return }
        state = .running
        armReadDeadline(after: readDeadline)
        logger.debug("connected to a relay", metadata: ["region": "\(region.regionID)"])
        if let isPreferred { write(.notePreferred(isPreferred)) }
        drain()
        sink(.connected(serverKey: serverKey))
    }

    private func steady(_ frame: DERPFrame) throws(DERPError) {
        switch frame {
        case .receivedPacket(let peer, let packet): sink(.received(from: peer, packet: packet))
        case .peerGone(let peer, let reason): sink(.peerGone(peer, reason))
        case .ping(let number):
            // A server that pings and does not read must not fill our memory with pongs.
            if context?.channel.isWritable == true { write(.pong(number)) }
        case .pong(let number): sink(.pong(number))
        case .health(let text): sink(.health(text.isEmpty ? nil : String(text.prefix(200))))
        case .restarting(let wait, let limit):
            sink(.restarting(reconnectAfter: .milliseconds(wait), tryFor: .milliseconds(limit)))
        case .serverInfo(let sealed):
            bucket = DERPTokenBucket(try handshake.open(serverInfo: sealed), now: eventLoop.now)
        case .keepAlive: sink(.keepAlive)
        case .serverKey, .clientInfo, .sendPacket, .notePreferred, .peerPresent, .forwardPacket,
            .watchConnections, .closePeer, .unknown, .malformed:
            break
        }
    }

    private func write(_ frame: DERPFrame) {
        context?.writeAndFlush(NIOAny(frame.encoded), promise: nil)
    }

    /// Writes what waits while the connection takes it.
    fileprivate func drain() {
        guard state == .running, let context else { return }
        while context.channel.isWritable, let frame = queue.popFirst() {
            context.write(NIOAny(frame), promise: nil)
        }
        context.flush()
    }

    private func armReadDeadline(after amount: Duration) {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        alarm?.cancel()
        alarm = eventLoop.scheduleTask(in: TimeAmount(amount)) {
            let client = bound.value
            let silence = Duration(client.eventLoop.now - client.lastRead)
            if silence >= client.readDeadline {
                client.fail(.timedOut)
            } else {
                client.armReadDeadline(after: client.readDeadline - silence)
            }
        }
    }

    // MARK: - Going down

    fileprivate func fail(_ error: DERPError) {
        guard state != .closed else { return }
        state = .closed
        let cause = certificateFault.map { DERPError.certificateRefused($0) } ?? error
        logger.debug("relay connection ended", metadata: ["region": "\(region.regionID)", "error": "\(cause)"])
        tearDown()
        sink(.closed(cause))
    }

    private func tearDown() {
        alarm?.cancel()
        alarm = nil
        queue.removeAll()
        batch = ByteBuffer()
        isBatchWritten = false
        context = nil
        channel?.close(promise: nil)
        channel = nil
        // Dials that are still under way have nobody who waits for them.
        scope.cancel()
    }

    fileprivate func detached() {
        context = nil
    }
}

/// The end of the pipeline: bytes to frames, and the channel's condition to the client.
private final class DERPClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let client: DERPClient
    private var decoder = DERPFrameDecoder()

    init(client: DERPClient) {
        self.client = client
    }

    func handlerAdded(context: ChannelHandlerContext) {
        client.attached(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        client.detached()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.append(unwrapInboundIn(data))
        do throws(DERPError) {
            while true {
                decoder.maximumByteCount = client.maximumByteCount
                guard let frame = try decoder.next() else { return }
                client.receive(frame)
            }
        } catch {
            client.fail(error)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { client.drain() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        client.fail(.connectionClosed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        client.fail(DERPError(mapping: error))
    }
}

import DERP
import NIOCore
import NIOSSL
import WarrenCrypto

/// One client's connection at the relay: login, its two outgoing queues, and its deadlines.
///
/// Confined to the relay's event loop.
final class DERPRelayConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State { case connecting, awaitingLogin, running, closed }

    /// The client's key after its login.
    private(set) var key: NodePublicKey?
    /// The keys that got a packet from this client: they are told when it leaves.
    private(set) var reached: Set<NodePublicKey> = []
    /// The address that the connection counts for.
    var address: String?

    private let switchboard: DERPSwitchboard
    private var state = State.connecting
    private var channel: (any Channel)?
    private var context: ChannelHandlerContext?
    private var decoder = DERPFrameDecoder(maximumByteCount: DERPConstants.maximumClientInfoByteCount)
    private var discoQueue = CircularBuffer<ByteBuffer>()
    private var packetQueue = CircularBuffer<ByteBuffer>()
    private var loginAlarm: Scheduled<Void>?
    private var writeAlarm: Scheduled<Void>?
    private var keepAlive: RepeatedTask?
    private var notHereTokens = 3.0
    private var notHereTime = NIODeadline.now()
    private var needsFlush = false

    init(switchboard: DERPSwitchboard) {
        self.switchboard = switchboard
    }

    // MARK: - Login

    /// Closes the connection when it is not logged in soon; helper requests have to be answered by then as well.
    func awaitLogin(on channel: any Channel) {
        self.channel = channel
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        loginAlarm = channel.eventLoop.scheduleTask(in: TimeAmount(switchboard.configuration.loginDeadline)) {
            bound.value.close()
        }
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        state = .awaitingLogin
        context.writeAndFlush(wrapOutboundOut(switchboard.handshake.greeting.encoded), promise: nil)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    private func logIn(_ frame: DERPFrame, context: ChannelHandlerContext) {
        // Who does not open, or is not admitted, is told nothing.
        guard let login = try? switchboard.handshake.accept(frame), switchboard.register(self, as: login.client) else {
            return close()
        }
        key = login.client
        state = .running
        loginAlarm?.cancel()
        decoder.maximumByteCount = DERPConstants.maximumFrameByteCount
        context.writeAndFlush(wrapOutboundOut(login.reply.encoded), promise: nil)
        let interval = TimeAmount(switchboard.configuration.keepAlive)
        let first = interval + .milliseconds(.random(in: 0...5000))
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        keepAlive = context.eventLoop.scheduleRepeatedTask(initialDelay: first, delay: first) { _ in
            bound.value.send(.keepAlive)
        }
    }

    // MARK: - Frames

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A client that sends on while its connection closes must not fill our memory.
        guard state != .closed else { return }
        decoder.append(unwrapInboundIn(data))
        do throws(DERPError) {
            while state != .closed, let frame = try decoder.next() {
                if state == .running {
                    receive(frame)
                } else {
                    logIn(frame, context: context)
                }
            }
        } catch { close() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switchboard.flush()
    }

    private func receive(_ frame: DERPFrame) {
        guard let key else { return }
        switchboard.noteActivity(of: self, key: key)
        switch frame {
        case .sendPacket(let destination, let packet):
            guard packet.readableBytes <= DERPConstants.maximumPacketByteCount else { return close() }
            if switchboard.relay(packet, from: key, to: destination) {
                // A client that sends to everybody is forgotten by the latest only.
                if reached.count < 16_384 { reached.insert(destination) }
            } else if DERPSwitchboard.isDisco(packet), takeNotHereToken() {
                send(.peerGone(destination, .notHere))
            }
        case .ping(let number): send(.pong(number))
        case .malformed(.ping), .malformed(.pong), .pong, .notePreferred, .keepAlive, .unknown: break
        // Everything else is for mesh servers or for the other side.
        case .serverKey, .clientInfo, .serverInfo, .receivedPacket, .peerGone, .peerPresent, .forwardPacket,
            .watchConnections, .closePeer, .health, .restarting, .malformed:
            close()
        }
    }

    /// Three at once, then one a second: enough for discovery, useless as an oracle.
    private func takeNotHereToken() -> Bool {
        let now = NIODeadline.now()
        notHereTokens = min(3, notHereTokens + Double((now - notHereTime).nanoseconds) / 1e9)
        notHereTime = now
        guard notHereTokens >= 1 else { return false }
        notHereTokens -= 1
        return true
    }

    // MARK: - Sending

    /// Writes a small frame unless the client does not read.
    func send(_ frame: DERPFrame) {
        guard state == .running, let context, context.channel.isWritable else { return }
        context.writeAndFlush(wrapOutboundOut(frame.encoded), promise: nil)
    }

    /// Takes a frame with a packet; when the client is slow it waits, and the oldest of its kind gives way.
    ///
    /// Returns how many gave way.
    func enqueue(_ frame: ByteBuffer, isDisco: Bool) -> Int {
        guard state == .running, let context else { return 1 }
        if discoQueue.isEmpty, packetQueue.isEmpty, context.channel.isWritable {
            context.write(wrapOutboundOut(frame), promise: nil)
            if !needsFlush {
                needsFlush = true
                switchboard.markForFlush(self)
            }
            return 0
        }
        var dropped = 0
        if isDisco {
            if discoQueue.count >= DERPConstants.sendQueueCount {
                discoQueue.removeFirst()
                dropped = 1
            }
            discoQueue.append(frame)
        } else {
            if packetQueue.count >= DERPConstants.sendQueueCount {
                packetQueue.removeFirst()
                dropped = 1
            }
            packetQueue.append(frame)
        }
        return dropped
    }

    /// Hands to the network what a batch wrote.
    func flush() {
        needsFlush = false
        context?.flush()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            writeAlarm?.cancel()
            writeAlarm = nil
            while context.channel.isWritable, let frame = discoQueue.popFirst() ?? packetQueue.popFirst() {
                context.write(wrapOutboundOut(frame), promise: nil)
            }
            context.flush()
        } else if writeAlarm == nil {
            armWriteAlarm(on: context.channel)
        }
        context.fireChannelWritabilityChanged()
    }

    /// Gives the client up when it takes nothing at all for the time of a deadline; a slow one keeps its connection.
    private func armWriteAlarm(on channel: any Channel) {
        let before = Self.unsentByteCount(of: channel)
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        writeAlarm = channel.eventLoop.scheduleTask(in: TimeAmount(switchboard.configuration.writeDeadline)) {
            let client = bound.value
            // While the channel is not writable nothing is added, so less means that the client took some.
            if Self.unsentByteCount(of: channel) < before {
                client.armWriteAlarm(on: channel)
            } else {
                client.abort()
            }
        }
    }

    private static func unsentByteCount(of channel: any Channel) -> Int {
        // A channel that cannot tell has made no progress.
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    // MARK: - End

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close()
    }

    /// Closes the connection, and counts it out at once: how long TLS takes to say goodbye is up to the client.
    func close() {
        leave()
        channel?.close(promise: nil)
    }

    /// Closes the connection of a client that reads nothing, without a goodbye that would wait behind everything else.
    private func abort() {
        leave()
        guard let tls = try? channel?.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self) else {
            channel?.close(promise: nil)
            return
        }
        tls.close(promise: nil)
    }

    private func leave() {
        guard state != .closed else { return }
        state = .closed
        discoQueue.removeAll()
        packetQueue.removeAll()
        switchboard.remove(self)
    }

    /// The channel is gone.
    func closed() {
        leave()
        loginAlarm?.cancel()
        writeAlarm?.cancel()
        keepAlive?.cancel()
        context = nil
        channel = nil
    }
}

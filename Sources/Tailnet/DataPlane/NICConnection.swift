import GuestNetwork
import Logging
import NIOCore
import NIOPosix

/// The stream to QEMU's socket for the guest's NIC: connects, and connects again as long as the node runs.
///
/// Confined to the node's event loop.
final class NICConnection {
    /// Takes one Ethernet frame from the guest.
    var onFrame: ((inout ByteBuffer) -> Void)?
    /// Ends a batch of frames.
    var onReadComplete: (() -> Void)?
    /// Learns that writing is possible (again).
    var onWritable: (() -> Void)?
    /// Learns that there is a guest (again).
    var onConnect: (() -> Void)?
    /// How often the stream was garbage and had to be given up.
    private(set) var brokenStreams: UInt64 = 0
    /// How many connections came about.
    private(set) var connections: UInt64 = 0

    private let eventLoop: any EventLoop
    private let path: String
    private let logger: Logger
    private var channel: (any Channel)?
    private var retry: Scheduled<Void>?
    private var attempts = 0
    private var isStopped = false
    private var isPaused = false

    // QEMU may not have made its socket yet, or be on its way to another life: soon first, then once a second.
    private static let longestPause: Int64 = 1_000

    init(eventLoop: any EventLoop, path: String, logger: Logger) {
        self.eventLoop = eventLoop
        self.path = path
        self.logger = logger
    }

    /// Begins to connect.
    func start() { connect() }

    /// Takes a channel of the caller's in place of QEMU's socket; it counts as connected once it is active.
    func start(over channel: any Channel) throws {
        try channel.pipeline.syncOperations.addHandler(NICHandler(connection: self))
    }

    /// Ends the connection for good; nothing is called back afterwards.
    func stop() {
        isStopped = true
        retry?.cancel()
        channel?.close(promise: nil)
        channel = nil
        onFrame = nil
        onReadComplete = nil
        onWritable = nil
        onConnect = nil
    }

    /// Whether there is a guest to write to.
    var isConnected: Bool { channel != nil }

    /// Whether the guest takes more now.
    var isWritable: Bool { channel?.isWritable == true }

    /// Writes whole frames, each behind its length.
    func write(_ frames: ByteBuffer) {
        channel?.writeAndFlush(frames, promise: nil)
    }

    /// Stops or goes on reading, so that a guest that sends faster than the network takes is held back by its own NIC.
    func setPaused(_ paused: Bool) {
        guard paused != isPaused else { return }
        isPaused = paused
        setAutoRead(!paused)
    }

    private func setAutoRead(_ isOn: Bool) {
        // Fails only on a channel that is closing, which has nothing more to read.
        try? channel?.syncOptions?.setOption(.autoRead, value: isOn)
        if isOn { channel?.read() }
    }

    private func connect() {
        guard !isStopped else { return }
        let handler = NIOLoopBound(NICHandler(connection: self), eventLoop: eventLoop)
        ClientBootstrap(group: eventLoop)
            .channelOption(.maxMessagesPerRead, value: 4)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 16384, maximum: 262_144)
            )
            .channelOption(.writeBufferWaterMark, value: .init(low: 128 << 10, high: 512 << 10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
            }
            .connect(unixDomainSocketPath: path)
            .assumeIsolated()
            .whenComplete { [weak self] result in
                if case .failure = result { self?.scheduleRetry() }
            }
    }

    private func scheduleRetry() {
        guard !isStopped else { return }
        attempts += 1
        let pause = min(Int64(5 << min(attempts, 10)), Self.longestPause)
        retry = eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(pause)) { [weak self] in self?.connect() }
    }

    fileprivate func opened(_ channel: any Channel) {
        guard !isStopped else { return channel.close(promise: nil) }
        self.channel = channel
        attempts = 0
        connections += 1
        if isPaused { setAutoRead(false) }
        logger.debug("guest NIC connected")
        onWritable?()
        onConnect?()
    }

    fileprivate func closed(_ channel: any Channel) {
        guard self.channel === channel else { return }
        self.channel = nil
        logger.debug("guest NIC disconnected")
        scheduleRetry()
    }

    fileprivate func broken(_ error: any Error) {
        brokenStreams += 1
        logger.warning("garbage on the NIC socket", metadata: ["error": "\(error)"])
        channel?.close(promise: nil)
    }
}

/// Cuts the stream into frames.
private final class NICHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    // Strong, because a weak reference costs every frame dearly; gone with the channel.
    private var connection: NICConnection?
    private var decoder = NICFrameDecoder()

    init(connection: NICConnection) { self.connection = connection }

    func channelActive(context: ChannelHandlerContext) { connection?.opened(context.channel) }

    func channelInactive(context: ChannelHandlerContext) {
        connection?.closed(context.channel)
        connection = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.append(unwrapInboundIn(data))
        do throws(GuestNetworkError) {
            while var frame = try decoder.next() { connection?.onFrame?(&frame) }
        } catch {
            connection?.broken(error)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { connection?.onReadComplete?() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { connection?.onWritable?() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

import NIOCore
import NIOPosix
import NetTypes

/// One bound UDP socket of a node, writing in batches that the kernel cuts into datagrams.
///
/// Confined to its event loop.
final class UDPSocket {
    let channel: any Channel
    let localAddress: AddressPort
    // Given to NIO in turn; their memory is used again once they are written, which a flush usually sees to at once.
    private var batches = [ByteBuffer](repeating: ByteBuffer(), count: batchCount)
    private var filling = 0
    private var batchRemote: SocketAddress?
    private var segmentByteCount = 0
    private var segments = 0
    private var isSegmentOpen = false
    private var needsFlush = false
    private let segmentsOffload: Bool

    // 64 is the kernel's UDP_MAX_SEGMENTS; a whole batch must also fit one IP packet.
    private static let maximumSegments = 64
    private static let maximumBatchByteCount = 65_000
    // Some 400 full packets between two flushes; who sends more, or to more peers in turn, pays with allocations.
    private static let batchCount = 8

    init(channel: any Channel, localAddress: AddressPort, groupsSends: Bool) {
        self.channel = channel
        self.localAddress = localAddress
        segmentsOffload = groupsSends
    }

    /// Binds a socket on `eventLoop` and hands every datagram to `receive`, read by read.
    static func bind(
        to address: AddressPort,
        eventLoop: any EventLoop,
        receiver: UDPReceiver,
        groupsSends: Bool
    ) -> EventLoopFuture<UDPSocket> {
        let receiver = NIOLoopBound(receiver, eventLoop: eventLoop)
        var bootstrap = DatagramBootstrap(group: eventLoop)
            // A busy peer sends faster than one read a turn; the default of 208 KiB drops within a millisecond.
            .channelOption(.socketOption(.so_rcvbuf), value: 4 << 20)
            .channelOption(.socketOption(.so_sndbuf), value: 4 << 20)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65_536))
            .channelOption(.maxMessagesPerRead, value: 16)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(receiver.value) }
            }
        if System.supportsUDPReceiveOffload {
            bootstrap = bootstrap.channelOption(.datagramReceiveOffload, value: true)
                .channelOption(.datagramReceiveSegmentSize, value: true)
        }
        if !address.address.isIPv4 {
            // The IPv4 socket has the same port; without this, the two would collide.
            bootstrap = bootstrap.channelOption(.socketOption(NIOBSDSocket.Option.ipv6_v6only), value: 1)
        }
        let bound = bootstrap.bind(host: "\(address.address)", port: Int(address.port))
        return bound.assumeIsolated().map { channel in
            let port = channel.localAddress?.port ?? 0
            return UDPSocket(
                channel: channel,
                localAddress: AddressPort(address.address, port: UInt16(truncatingIfNeeded: port)),
                groupsSends: groupsSends
            )
        }.nonisolated()
    }

    /// Appends a datagram to the batch; one for another peer or of a larger size starts a new batch.
    func send(_ datagram: Span<UInt8>, to remote: SocketAddress) {
        if let batchRemote,
            batchRemote != remote || datagram.count > segmentByteCount || !isSegmentOpen
                || segments >= Self.maximumSegments
                || batches[filling].readableBytes + datagram.count > Self.maximumBatchByteCount
        {
            writeBatch()
        }
        if batchRemote == nil {
            let capacity = min(batches[filling].capacity, Self.maximumBatchByteCount + 2_048)
            batches[filling].clear(minimumCapacity: capacity)
            batchRemote = remote
            segmentByteCount = datagram.count
            segments = 0
            isSegmentOpen = segmentsOffload && datagram.count > 0
        }
        batches[filling].writeBytes(datagram.bytes)
        segments += 1
        // The kernel lets only the last segment be short.
        if datagram.count < segmentByteCount { isSegmentOpen = false }
        needsFlush = true
    }

    /// Gives everything to the kernel.
    func flush() {
        guard needsFlush else { return }
        needsFlush = false
        writeBatch()
        channel.flush()
        filling = 0
    }

    func close() { channel.close(promise: nil) }

    private func writeBatch() {
        guard let remote = batchRemote else { return }
        batchRemote = nil
        var metadata: AddressedEnvelope<ByteBuffer>.Metadata?
        if segments > 1 {
            metadata = .init(ecnState: .transportNotCapable, packetInfo: nil, segmentSize: segmentByteCount)
        }
        let envelope = AddressedEnvelope(remoteAddress: remote, data: batches[filling], metadata: metadata)
        channel.write(envelope, promise: nil)
        filling = (filling + 1) % Self.batchCount
    }
}

/// Takes datagrams out of the channel and hands them on, cut as they were sent.
final class UDPReceiver: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    // Strong, because a weak reference costs every datagram dearly; gone with the channel.
    private var owner: MagicSocket?
    private let isIPv4: Bool
    private var lastError: (any Error)?

    init(owner: MagicSocket, isIPv4: Bool) {
        self.owner = owner
        self.isIPv4 = isIPv4
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let octets = envelope.data.readableBytesUInt8Span
        guard let size = envelope.metadata?.segmentSize, size > 0, size < octets.count else {
            owner?.receive(octets, from: envelope.remoteAddress)
            return
        }
        var start = 0
        while start < octets.count {
            let end = min(start + size, octets.count)
            owner?.receive(octets.extracting(start..<end), from: envelope.remoteAddress)
            start = end
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { owner?.readComplete() }

    func channelWritabilityChanged(context: ChannelHandlerContext) { owner?.sink?.magicSocketWritabilityChanged() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { lastError = error }

    func channelInactive(context: ChannelHandlerContext) {
        owner?.socketClosed(isIPv4: isIPv4, lastError)
        owner = nil
        context.fireChannelInactive()
    }
}

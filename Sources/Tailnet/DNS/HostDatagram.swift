import NIOCore
import NIOPosix
import NetTypes

/// A query over UDP by the host's network.
final class HostDatagram: DNSConversation {
    private let exchange: DNSExchange.ID
    private weak var resolver: ForwardingResolver?
    private var channel: (any Channel)?
    private var isOver = false

    /// Sends the query from a socket of its own, whose port nobody can foresee.
    init(_ exchange: DNSExchange, on eventLoop: any EventLoop, resolver: ForwardingResolver) {
        self.exchange = exchange.id
        self.resolver = resolver
        let handler = NIOLoopBound(HostAnswerHandler(self), eventLoop: eventLoop)
        let message = exchange.message
        guard let remote = try? SocketAddress(ipAddress: "\(exchange.target.address)", port: Int(exchange.target.port))
        else { return }
        DatagramBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
            }
            .connect(to: remote)
            .assumeIsolated()
            .whenComplete { [self] result in
                guard case .success(let channel) = result, !isOver else {
                    if case .success(let channel) = result { channel.close(promise: nil) }
                    return failed()
                }
                self.channel = channel
                channel.writeAndFlush(ByteBuffer(bytes: message), promise: nil)
            }
    }

    func cancel() {
        isOver = true
        channel?.close(promise: nil)
        channel = nil
    }

    fileprivate func received(_ message: [UInt8]) {
        guard !isOver else { return }
        resolver?.received(message, in: exchange)
        resolver?.settle()
    }

    fileprivate func failed() {
        guard !isOver else { return }
        isOver = true
        resolver?.failed(exchange)
        resolver?.settle()
    }
}

/// Hands datagrams of a connected socket on.
private final class HostAnswerHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private weak var conversation: HostDatagram?

    init(_ conversation: HostDatagram) { self.conversation = conversation }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        conversation?.received(Array(unwrapInboundIn(data).data.readableBytesView))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Nobody listens there.
        conversation?.failed()
        context.close(promise: nil)
    }
}

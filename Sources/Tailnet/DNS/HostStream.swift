import NIOCore
import NIOPosix
import NetTypes

/// A query over TCP by the host's network.
final class HostStream: DNSConversation {
    private let exchange: DNSExchange.ID
    private weak var resolver: ForwardingResolver?
    private var framing: LengthFraming
    private var channel: (any Channel)?
    private var isOver = false

    /// Begins to connect.
    init(_ exchange: DNSExchange, on eventLoop: any EventLoop, resolver: ForwardingResolver) {
        self.exchange = exchange.id
        self.resolver = resolver
        framing = LengthFraming(exchange.message)
        let handler = NIOLoopBound(HostStreamHandler(self), eventLoop: eventLoop)
        let request = framing.request
        guard let remote = try? SocketAddress(ipAddress: "\(exchange.target.address)", port: Int(exchange.target.port))
        else { return }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(.nanoseconds(DNSDefaults.streamPatience.wholeNanoseconds))
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
                channel.writeAndFlush(ByteBuffer(bytes: request), promise: nil)
            }
    }

    func cancel() {
        isOver = true
        channel?.close(promise: nil)
        channel = nil
    }

    fileprivate func received(_ octets: [UInt8]) {
        guard !isOver else { return }
        do throws(DNSFramingError) {
            guard let answer = try framing.take(octets) else { return }
            resolver?.received(answer, in: exchange)
            resolver?.settle()
        } catch {
            failed()
        }
    }

    fileprivate func failed() {
        guard !isOver else { return }
        isOver = true
        resolver?.failed(exchange)
        resolver?.settle()
    }
}

/// Hands the octets of a connection on.
private final class HostStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private weak var conversation: HostStream?

    init(_ conversation: HostStream) { self.conversation = conversation }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        conversation?.received(Array(unwrapInboundIn(data).readableBytesView))
    }

    func channelInactive(context: ChannelHandlerContext) { conversation?.failed() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

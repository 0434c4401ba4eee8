import NIOCore
import NIOPosix
import NIOSSL
import NetTypes
import Transport

/// A query over TCP, or TLS above it, by the host's network.
final class HostStream: DNSConversation {
    /// What a conversation over TLS needs.
    struct TLS {
        /// Whom to trust.
        let context: NIOSSLContext
        /// Whom the server has to be.
        let host: String
    }

    private let exchange: DNSExchange.ID
    private weak var resolver: ForwardingResolver?
    private var framing: any DNSFraming
    private var channel: (any Channel)?
    private var isOver = false

    /// Begins to connect.
    init(
        _ exchange: DNSExchange,
        _ framing: any DNSFraming,
        over tls: TLS? = nil,
        on eventLoop: any EventLoop,
        resolver: ForwardingResolver
    ) {
        self.exchange = exchange.id
        self.resolver = resolver
        self.framing = framing
        let handler = NIOLoopBound(HostStreamHandler(self), eventLoop: eventLoop)
        let request = framing.request
        guard let remote = try? SocketAddress(ipAddress: "\(exchange.target.address)", port: Int(exchange.target.port))
        else { return }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(.nanoseconds(DNSDefaults.streamPatience.wholeNanoseconds))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let handler = try ClientTLS.handler(tls.context, host: tls.host)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    try channel.pipeline.syncOperations.addHandler(handler.value)
                }
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

    fileprivate func ended() {
        guard !isOver else { return }
        guard let answer = framing.finish() else { return failed() }
        resolver?.received(answer, in: exchange)
        resolver?.settle()
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

    func channelInactive(context: ChannelHandlerContext) { conversation?.ended() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

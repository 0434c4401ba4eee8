import NIOCore
import NIOPosix
import Synchronization

/// A small HTTP proxy on loopback that knows `CONNECT` only and leads every name to one local port.
package final class ConnectProxy: Sendable {
    private let listener: any Channel
    private let heard: RequestLog

    /// The requests that came, line by line.
    package var requests: [[String]] { heard.requests.withLock { $0 } }
    /// The port of the proxy.
    package var port: Int { listener.localAddress?.port ?? 0 }

    fileprivate final class RequestLog: Sendable {
        let requests = Mutex<[[String]]>([])
    }

    private init(listener: any Channel, heard: RequestLog) {
        self.listener = listener
        self.heard = heard
    }

    /// Starts one; `reply` takes the place of a tunnel, for a proxy that refuses.
    package static func start(leadingTo port: Int, reply: String? = nil) async throws -> ConnectProxy {
        let heard = RequestLog()
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ConnectHandler(port: port, reply: reply, heard: heard)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return ConnectProxy(listener: listener, heard: heard)
    }

    /// Takes no more connections.
    package func stop() async throws { try await listener.close() }
}

/// Reads the request, opens the tunnel, and then hands octets on.
private final class ConnectHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let port: Int
    private let reply: String?
    private let heard: ConnectProxy.RequestLog
    private var pending = ByteBuffer()
    private var target: (any Channel)?
    private var isConnecting = false

    init(port: Int, reply: String?, heard: ConnectProxy.RequestLog) {
        self.port = port
        self.reply = reply
        self.heard = heard
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var octets = unwrapInboundIn(data)
        if let target { return target.writeAndFlush(octets, promise: nil) }
        pending.writeBuffer(&octets)
        guard !isConnecting, let end = pending.readableBytesView.firstRange(of: "\r\n\r\n".utf8) else { return }
        isConnecting = true
        let head = pending.readString(length: end.lowerBound - pending.readerIndex) ?? ""
        pending.moveReaderIndex(forwardBy: 4)
        heard.requests.withLock { $0.append(head.split(separator: "\r\n").map(String.init)) }
        if let reply {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: reply)), promise: nil)
            return
        }
        let client = context.channel
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        ClientBootstrap(group: context.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Forwarder(to: client))
                }
            }
            .connect(host: "127.0.0.1", port: port)
            .whenComplete { result in
                let (handler, context) = bound.value
                guard case .success(let target) = result else { return context.close(promise: nil) }
                handler.target = target
                let established = "HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n"
                context.writeAndFlush(handler.wrapOutboundOut(ByteBuffer(string: established)), promise: nil)
                if handler.pending.readableBytes > 0 { target.writeAndFlush(handler.pending, promise: nil) }
            }
    }

    func channelInactive(context: ChannelHandlerContext) { target?.close(promise: nil) }
}

/// Writes everything to another channel.
private final class Forwarder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let channel: any Channel

    init(to channel: any Channel) { self.channel = channel }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        channel.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { channel.close(promise: nil) }
}

import DERP
import LoopbackSupport
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket
import Synchronization
import Transport
import WarrenCrypto

/// A relay on loopback that speaks the real wire format up to the login, and answers packets to its sender.
final class LoopbackRelay: Sendable {
    /// What the relay upgrades to.
    enum Carrier: Sendable { case raw, webSocket }

    private let listener: any Channel
    private let heard: Heard

    /// The requests that were upgraded.
    var requests: [HTTPRequestHead] { heard.requests.withLock { $0 } }
    var port: Int { listener.localAddress?.port ?? 0 }

    fileprivate final class Heard: Sendable {
        let requests = Mutex<[HTTPRequestHead]>([])
    }

    private init(listener: any Channel, heard: Heard) {
        self.listener = listener
        self.heard = heard
    }

    static func start(
        _ certificate: LoopbackCertificate,
        carriers: Set<Carrier> = [.raw, .webSocket]
    ) async throws -> LoopbackRelay {
        let heard = Heard()
        let tls = try certificate.serverContext()
        let key = NodePrivateKey()
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    try configure(channel, carriers, key, heard)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return LoopbackRelay(listener: listener, heard: heard)
    }

    func stop() async throws { try await listener.close() }

    private static func configure(
        _ channel: any Channel,
        _ carriers: Set<Carrier>,
        _ key: NodePrivateKey,
        _ heard: Heard
    ) throws {
        var upgraders: [any NIOTypedHTTPServerProtocolUpgrader<Void>] = []
        if carriers.contains(.raw) { upgraders.append(RawUpgrader(key: key, heard: heard)) }
        if carriers.contains(.webSocket) {
            upgraders.append(
                WebSocketServer.upgrader(routes: [DERPConstants.webSocketRoute]) { channel, head, _ in
                    heard.requests.withLock { $0.append(head) }
                    return channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(RelayHandler(key: key))
                    }
                }
            )
        }
        _ = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
            configuration: NIOUpgradableHTTPServerPipelineConfiguration(
                upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                    upgraders: upgraders,
                    notUpgradingCompletionHandler: { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(Refuser())
                        }
                    }
                )
            )
        )
    }
}

private struct RawUpgrader: NIOTypedHTTPServerProtocolUpgrader {
    let key: NodePrivateKey
    let heard: LoopbackRelay.Heard

    var supportedProtocol: String { DERPConstants.upgradeToken }
    var requiredUpgradeHeaders: [String] { [] }

    func buildUpgradeResponse(
        channel: any Channel,
        upgradeRequest: HTTPRequestHead,
        initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        heard.requests.withLock { $0.append(upgradeRequest) }
        return channel.eventLoop.makeSucceededFuture(initialResponseHeaders)
    }

    func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(RelayHandler(key: key))
        }
    }
}

/// Answers every request as something that knows no upgrade.
private final class Refuser: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .upgradeRequired, headers: ["Content-Length": "0"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}

/// Logs a client in and sends every packet back to where it came from.
private final class RelayHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let handshake: DERPServerHandshake
    private var decoder = DERPFrameDecoder()
    private var client: NodePublicKey?

    init(key: NodePrivateKey) { handshake = DERPServerHandshake(privateKey: key) }

    func handlerAdded(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(handshake.greeting.encoded), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.append(unwrapInboundIn(data))
        do {
            decoder.maximumByteCount = DERPConstants.maximumFrameByteCount
            while let frame = try decoder.next() {
                if let client {
                    guard case .sendPacket(_, let packet) = frame else { continue }
                    let echo = DERPFrame.wrap(packet, as: .receivedPacket, key: client)
                    context.writeAndFlush(wrapOutboundOut(echo), promise: nil)
                } else {
                    let login = try handshake.accept(frame)
                    client = login.client
                    context.writeAndFlush(wrapOutboundOut(login.reply.encoded), promise: nil)
                }
            }
        } catch { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

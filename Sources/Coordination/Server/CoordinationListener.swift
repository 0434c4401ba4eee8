import ControlPlane
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket
import Transport
import WarrenCrypto

/// A client's connection once it is known what it speaks.
enum CoordinationConnection: Sendable {
    /// Noise with HTTP/2 inside, and what a proxy in between said when it was opened.
    case noise(ControlServerConnection, HTTPHeaders)
    /// Plain HTTP/1.1.
    case plain(NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>)

    /// The TCP connection.
    var channel: any Channel {
        switch self {
        case .noise(let session, _): session.channel
        case .plain(let channel): channel.channel
        }
    }
}

/// The TCP listener of ts2021 and the login pages.
struct CoordinationListener: Sendable {
    typealias Accepted = EventLoopFuture<CoordinationConnection>

    let channel: NIOAsyncChannel<Accepted, Never>

    /// From accept to finished handshake.
    private static let handshakeDeadline = TimeAmount.seconds(10)
    /// Without a request on a plain connection.
    private static let idleDeadline = TimeAmount.seconds(60)
    /// TCP_USER_TIMEOUT of Linux: for how many milliseconds sent octets may stay unacknowledged.
    private static let userTimeout = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: 18))

    /// Binds; the listener takes connections once someone iterates over it.
    ///
    /// Without a certificate it is plain HTTP.
    static func bind(
        _ place: CoordinationConfiguration.Listener,
        serverKey: MachinePrivateKey,
        certificate: ServingCertificate?,
        group: any EventLoopGroup
    ) async throws -> CoordinationListener {
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // A whole tailnet comes back at once when the server does.
            .serverChannelOption(.backlog, value: 4096)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(userTimeout, value: 30_000)
            .bind(host: place.host, port: place.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let certificate {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLServerHandler(context: certificate.context)
                        )
                    }
                    return try configure(channel, serverKey: serverKey)
                }
            }
        return CoordinationListener(channel: channel)
    }

    private static func configure(_ channel: any Channel, serverKey: MachinePrivateKey) throws -> Accepted {
        let deadline = channel.eventLoop.scheduleTask(in: handshakeDeadline) { channel.close(promise: nil) }
        let upgrader = ControlServerUpgrader<CoordinationConnection>(
            serverKey: serverKey,
            // Nobody asks for the challenge today, but every client is used to getting one.
            earlyPayload: { EarlyPayload(nodeKeyChallenge: ChallengePrivateKey().publicKey) },
            result: { .noise($0, $1.headers) }
        )
        let configuration = NIOUpgradableHTTPServerPipelineConfiguration<CoordinationConnection>(
            upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                upgraders: [upgrader, webSocketUpgrader(serverKey: serverKey)],
                notUpgradingCompletionHandler: { channel in
                    channel.eventLoop.makeCompletedFuture { .plain(try plain(channel)) }
                }
            )
        )
        let accepted = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
            configuration: configuration
        )
        accepted.whenComplete { _ in deadline.cancel() }
        return accepted
    }

    /// The same over WebSocket, for browsers and for clients behind proxies that let nothing else through.
    private static func webSocketUpgrader(
        serverKey: MachinePrivateKey
    ) -> NIOTypedWebSocketServerUpgrader<CoordinationConnection> {
        WebSocketServer.upgrader(
            routes: [ControlConstants.webSocketRoute],
            accepts: { head, _ in
                if case .success = ControlUpgrade.initiation(inQueryOf: head) { true } else { false }
            },
            upgraded: { channel, head, _ in
                switch ControlUpgrade.initiation(inQueryOf: head) {
                case .failure(let refusal): channel.eventLoop.makeFailedFuture(refusal)
                case .success(let initiation):
                    // Browser clients take no early payload.
                    ControlServerConnection.accept(
                        on: channel,
                        initiation: initiation,
                        serverKey: serverKey,
                        earlyPayload: nil
                    ).map { .noise($0, head.headers) }
                }
            }
        )
    }

    private static func plain(
        _ channel: any Channel
    ) throws -> NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart> {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(IdleStateHandler(readTimeout: idleDeadline))
        try pipeline.addHandler(IdleCloser())
        let wrapped = try NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>(
            wrappingChannelSynchronously: channel
        )
        // One that comes while the server stops is dropped, and NIO ends the process for a wrapper that goes before its
        // channel does.
        channel.closeFuture.whenComplete { _ in withExtendedLifetime(wrapped) {} }
        return wrapped
    }
}

/// Closes a connection that has been silent for too long.
private final class IdleCloser: ChannelInboundHandler {
    typealias InboundIn = Any

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}

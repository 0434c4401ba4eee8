import ControlPlane
import NIOCore
import NIOHTTP1
import NIOPosix
import WarrenCrypto

/// A client's connection once it is known what it speaks.
enum CoordinationConnection: Sendable {
    /// Noise with HTTP/2 inside.
    case noise(ControlServerConnection)
    /// Plain HTTP/1.1.
    case plain(NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>)

    /// The TCP connection.
    var channel: any Channel {
        switch self {
        case .noise(let session): session.channel
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

    /// Without an octet either way on a Noise connection: polls have keep-alives, follow-ups are answered after 5 min.
    private static let sessionDeadline = TimeAmount.minutes(6)
    /// TCP_USER_TIMEOUT of Linux: for how many milliseconds sent octets may stay unacknowledged.
    private static let userTimeout = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: 18))

    /// Binds; the listener takes connections once someone iterates over it.
    static func bind(
        _ place: CoordinationConfiguration.Listener,
        serverKey: MachinePrivateKey,
        group: any EventLoopGroup
    ) async throws -> CoordinationListener {
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 256)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(userTimeout, value: 30_000)
            .bind(host: place.host, port: place.port) { channel in
                channel.eventLoop.makeCompletedFuture { try configure(channel, serverKey: serverKey) }
            }
        return CoordinationListener(channel: channel)
    }

    private static func configure(_ channel: any Channel, serverKey: MachinePrivateKey) throws -> Accepted {
        let deadline = channel.eventLoop.scheduleTask(in: handshakeDeadline) { channel.close(promise: nil) }
        let upgrader = ControlServerUpgrader<CoordinationConnection>(
            serverKey: serverKey,
            // Nobody asks for the challenge today, but every client is used to getting one.
            earlyPayload: { EarlyPayload(nodeKeyChallenge: ChallengePrivateKey().publicKey) },
            result: { .noise($0) }
        )
        let configuration = NIOUpgradableHTTPServerPipelineConfiguration<CoordinationConnection>(
            upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                upgraders: [upgrader],
                notUpgradingCompletionHandler: { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(IdleStateHandler(readTimeout: idleDeadline))
                        try pipeline.addHandler(IdleCloser())
                        let wrapped = try NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>(
                            wrappingChannelSynchronously: channel
                        )
                        // One that comes while the server stops is dropped, and NIO ends the process for a wrapper that
                        // goes before its channel does.
                        channel.closeFuture.whenComplete { _ in withExtendedLifetime(wrapped) {} }
                        return .plain(wrapped)
                    }
                }
            )
        )
        let accepted = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
            configuration: configuration
        )
        let watch: [any ChannelHandler] = [IdleStateHandler(allTimeout: sessionDeadline), IdleCloser()]
        let handlers = NIOLoopBound(watch, eventLoop: channel.eventLoop)
        accepted.whenComplete { result in
            deadline.cancel()
            guard case .success(.noise) = result else { return }
            // A channel that is closed already needs no watching.
            try? channel.pipeline.syncOperations.addHandlers(handlers.value, position: .first)
        }
        return accepted
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

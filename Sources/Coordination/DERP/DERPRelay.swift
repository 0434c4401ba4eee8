import DERP
package import Logging
package import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket
import Transport
package import WarrenCrypto

/// A DERP relay for registered nodes, with the HTTP answers that clients expect from a DERP host.
///
/// All its connections live on one event loop, so that relaying takes no lock and no hop.
package final class DERPRelay: Sendable {
    /// What a relay has done since it started.
    package struct Counters: Equatable, Sendable {
        /// Clients that are logged in.
        package var connections = 0
        /// Packets handed to a destination.
        package var relayedPackets = 0
        /// Packets that gave way in a full queue.
        package var droppedPackets = 0
        /// Packets for keys that are not connected.
        package var unroutablePackets = 0
        /// Logins that were not admitted.
        package var refusedLogins = 0
    }

    private let channel: any Channel
    private let switchboard: NIOLoopBound<DERPSwitchboard>

    private init(channel: any Channel, switchboard: NIOLoopBound<DERPSwitchboard>) {
        self.channel = channel
        self.switchboard = switchboard
    }

    /// Listens; `admits` is asked once a login, on the event loop, and must answer from memory.
    package static func start(
        _ configuration: DERPRelayConfiguration,
        eventLoop: any EventLoop,
        logger: Logger,
        admits: @escaping @Sendable (NodePublicKey) -> Bool
    ) async throws -> DERPRelay {
        let certificate = try ServingCertificate(configuration.certificate.makeServerConfiguration())
        let switchboard = try await eventLoop.submit {
            NIOLoopBound(
                DERPSwitchboard(configuration: configuration, logger: logger, admits: admits),
                eventLoop: eventLoop
            )
        }.get()
        let channel = try await ServerBootstrap(group: eventLoop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 256)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 32 << 10, high: 128 << 10))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try configure(channel, tls: certificate.context, switchboard: switchboard.value)
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
        return DERPRelay(channel: channel, switchboard: switchboard)
    }

    private static func configure(_ channel: any Channel, tls: NIOSSLContext, switchboard: DERPSwitchboard) throws {
        let client = DERPRelayConnection(switchboard: switchboard)
        guard switchboard.admit(client, from: channel.remoteAddress?.ipAddress) else {
            throw DERPRelayError.tooManyConnections
        }
        let bound = NIOLoopBound(client, eventLoop: channel.eventLoop)
        channel.closeFuture.whenComplete { _ in bound.value.closed() }
        client.awaitLogin(on: channel)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(NIOSSLServerHandler(context: tls))
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 8 << 10
        limits.maxHeaderListSize = 16 << 10
        limits.maxHeaderFieldCount = 64
        let probes = HostProbes(names: switchboard.configuration.names)
        let upgrader = DERPServerUpgrader(client: bound, serverKey: switchboard.serverKey)
        let webSocketUpgrader = DERPWebSocketUpgrader(
            framed: WebSocketServer.upgrader(routes: [DERPConstants.webSocketRoute]) { channel, _, _ in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            },
            raw: upgrader
        )
        var configuration = NIOUpgradableHTTPServerPipelineConfiguration<Void>(
            upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                upgraders: [upgrader, webSocketUpgrader],
                notUpgradingCompletionHandler: { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DERPHelperHandler(probes: probes))
                    }
                }
            )
        )
        configuration.enablePipelining = true
        configuration.decoderConfiguration = limits
        _ = try pipeline.configureUpgradableHTTPServerPipeline(configuration: configuration)
    }

    /// The TCP port that is listened at.
    package var port: Int { channel.localAddress?.port ?? 0 }

    /// The relay's public key.
    package var publicKey: NodePublicKey {
        get async throws { try await onLoop { $0.serverKey } }
    }

    /// What happened so far.
    package var counters: Counters {
        get async throws { try await onLoop { $0.counters } }
    }

    /// Closes the connections of a key that is no longer admitted.
    package func disconnect(_ key: NodePublicKey) {
        let switchboard = switchboard
        channel.eventLoop.execute { switchboard.value.disconnect(key) }
    }

    /// Tells every client to come back in a second, closes, and stops listening.
    package func shutdown() async throws {
        try await onLoop { $0.shutdown() }
        // Closed already is as good.
        try? await channel.close()
    }

    private func onLoop<Result: Sendable>(
        _ body: @escaping @Sendable (DERPSwitchboard) -> Result
    ) async throws -> Result {
        let switchboard = switchboard
        return try await channel.eventLoop.submit { body(switchboard.value) }.get()
    }
}

/// Why a relay does not take a connection.
enum DERPRelayError: Error {
    /// The address, or the relay, has its share.
    case tooManyConnections
    /// The request is no upgrade to DERP.
    case notAnUpgrade
}

/// `GET /derp` with `Upgrade: WebSocket`: real WebSocket, or what very old clients mean by it, which is DERP by another name.
private struct DERPWebSocketUpgrader: NIOTypedHTTPServerProtocolUpgrader {
    let framed: NIOTypedWebSocketServerUpgrader<Void>
    let raw: DERPServerUpgrader

    var supportedProtocol: String { "websocket" }
    var requiredUpgradeHeaders: [String] { [] }

    func buildUpgradeResponse(
        channel: any Channel,
        upgradeRequest: HTTPRequestHead,
        initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        Self.isFramed(upgradeRequest)
            ? framed.buildUpgradeResponse(
                channel: channel,
                upgradeRequest: upgradeRequest,
                initialResponseHeaders: initialResponseHeaders
            )
            : raw.buildUpgradeResponse(
                channel: channel,
                upgradeRequest: upgradeRequest,
                initialResponseHeaders: initialResponseHeaders
            )
    }

    func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<Void> {
        Self.isFramed(upgradeRequest)
            ? framed.upgrade(channel: channel, upgradeRequest: upgradeRequest)
            : raw.upgrade(channel: channel, upgradeRequest: upgradeRequest)
    }

    private static func isFramed(_ head: HTTPRequestHead) -> Bool { head.headers.contains(name: "Sec-WebSocket-Key") }
}

/// `GET /derp` with `Upgrade: DERP`.
private struct DERPServerUpgrader: NIOTypedHTTPServerProtocolUpgrader {
    let client: NIOLoopBound<DERPRelayConnection>
    let serverKey: NodePublicKey

    var supportedProtocol: String { DERPConstants.upgradeToken }
    var requiredUpgradeHeaders: [String] { [] }

    func buildUpgradeResponse(
        channel: any Channel,
        upgradeRequest: HTTPRequestHead,
        initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        guard upgradeRequest.method == .GET, upgradeRequest.uri == DERPConstants.upgradePath else {
            return channel.eventLoop.makeFailedFuture(DERPRelayError.notAnUpgrade)
        }
        var headers = initialResponseHeaders
        headers.add(name: "Derp-Version", value: String(DERPConstants.version))
        headers.add(name: "Derp-Public-Key", value: serverKey.octets.hex)
        return channel.eventLoop.makeSucceededFuture(headers)
    }

    func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(client.value)
        }
    }
}

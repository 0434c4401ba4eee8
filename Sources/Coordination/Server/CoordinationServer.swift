import ControlPlane
package import Logging
import NIOCore
import NIOHTTP1
import NIOHTTP2
package import NIOPosix
import NetTypes
import ServiceLifecycle
package import Tailcfg
package import WarrenCrypto

/// The embedded coordination server: stock Tailscale clients and Warren's own nodes join the tailnet here.
///
/// `bind` takes the ports, so that URL and addresses are known before `run` serves.
package final class CoordinationServer: Service {
    /// What clients use as login server, without trailing slash.
    package let serverURL: String
    /// Where ts2021 and the login pages are bound.
    package let address: BoundAddress
    /// The tailnet.
    package let registry: NodeRegistry
    /// The fingerprint that people compare: the server's Noise key.
    package let serverKey: MachinePublicKey
    /// Where DERP is bound; nil without a relay.
    package var derpAddress: BoundAddress? { relay.derpAddress }
    /// Where STUN is bound; nil without a server.
    package var stunAddress: BoundAddress? { relay.stunAddress }
    private let listener: CoordinationListener
    private let relay: RelayService
    private let routes: NoiseRoutes
    private let outer: OuterRoutes
    private let limiter = ConnectionLimiter()
    private let logger: Logger

    private static let keyName = "noise"

    /// A bound place.
    package struct BoundAddress: Hashable, Sendable {
        /// The address as text, without brackets.
        package let host: String
        /// The port.
        package let port: Int
        /// Whether only this host can reach it.
        package let isLoopback: Bool
    }

    private init(
        listener: CoordinationListener,
        relay: RelayService,
        address: BoundAddress,
        serverURL: String,
        serverKey: MachinePublicKey,
        registry: NodeRegistry,
        domain: String,
        check: (@Sendable (String) async -> Bool)?,
        logger: Logger
    ) {
        self.listener = listener
        self.relay = relay
        self.address = address
        self.serverURL = serverURL
        self.serverKey = serverKey
        self.registry = registry
        self.logger = logger
        routes = NoiseRoutes(registry: registry, logger: logger)
        outer = OuterRoutes(
            serverKey: serverKey,
            page: LoginPage(registry: registry, check: check, domain: domain)
        )
    }

    /// Loads the tailnet, makes the server's key on the first start, and binds.
    ///
    /// - Parameters:
    ///   - configuration: Where to listen, and the rules.
    ///   - persistence: Where state is kept.
    ///   - approvalCheck: Tells whether a text is an administrator's token; asked by the login page unless the server
    ///     listens on loopback alone.
    ///   - now: The clock.
    ///   - group: The event loops.
    ///   - logger: Gets what happens.
    /// - Returns: A server that is bound and not yet serving.
    /// - Throws: `CoordinationError`, what the store reports, or an `IOError` when a port is taken.
    package static func bind(
        _ configuration: CoordinationConfiguration,
        persistence: any CoordinationPersistence,
        approvalCheck: @escaping @Sendable (String) async -> Bool,
        now: @escaping @Sendable () -> ControlTime,
        group: MultiThreadedEventLoopGroup,
        logger: Logger
    ) async throws -> CoordinationServer {
        let serverKey = try await serverKey(persistence)
        let listener = try await CoordinationListener.bind(configuration.listen, serverKey: serverKey, group: group)
        let address = BoundAddress(listener.channel.channel.localAddress)
        let serverURL = configuration.publicURL ?? "http://\(address.authority)"
        do {
            let registry = try await NodeRegistry(
                rules: configuration.rules,
                persistence: persistence,
                derpMap: DERPMap(omitDefaultRegions: true),
                publicURL: { serverURL },
                now: now,
                logger: logger
            )
            let relay = try await RelayService.start(
                configuration,
                publicHost: host(of: serverURL) ?? address.host,
                persistence: persistence,
                admittedKeys: registry.admittedKeys,
                group: group,
                logger: logger
            )
            await registry.setDERPMap(relay.map)
            return CoordinationServer(
                listener: listener,
                relay: relay,
                address: address,
                serverURL: serverURL,
                serverKey: serverKey.publicKey,
                registry: registry,
                domain: configuration.rules.domain,
                check: isReachedFromHereAlone(address, configuration.publicURL) ? nil : approvalCheck,
                logger: logger
            )
        } catch {
            // The error that matters is the one that stopped us.
            try? await listener.channel.channel.close()
            throw error
        }
    }

    /// Whether only this host can open the login page; a public name on a loopback listener means a proxy in front.
    private static func isReachedFromHereAlone(_ address: BoundAddress, _ publicURL: String?) -> Bool {
        guard address.isLoopback, let publicURL else { return address.isLoopback }
        guard let host = host(of: publicURL) else { return false }
        return host == "localhost" || IPAddress(host)?.isLoopback == true
    }

    /// The host in a URL of ours.
    private static func host(of url: String) -> String? { (try? ControlURL(url))?.host }

    /// The Noise key; without it every client would have to be logged in anew by hand, so it is kept for ever.
    private static func serverKey(_ persistence: any CoordinationPersistence) async throws -> MachinePrivateKey {
        let bytes = try await persistence.secret(named: keyName) { MachinePrivateKey().withBytes { $0.array } }
        guard let key = MachinePrivateKey(bytes: bytes) else { throw CoordinationError.damagedRecord(keyName) }
        return key
    }

    /// Serves until the task is cancelled or the service group shuts down; then streams end cleanly.
    package func run() async throws {
        logger.notice("coordination server runs", metadata: ["url": "\(serverURL)", "key": "\(serverKey.short)"])
        do {
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask { try await self.accept() }
                group.addTask { try await self.keepTime() }
                group.addTask { try await self.awaitShutdown() }
            }
        } catch is CancellationError {
            // Either way of being told to stop.
        }
        await relay.shutdown()
        // Our own task is cancelled by now, which the database would take for a wish to stop.
        try await Task { [registry] in try await registry.commit() }.value
        logger.notice("coordination server stopped")
    }

    private func accept() async throws {
        try await listener.channel.executeThenClose { accepted in
            try await withThrowingDiscardingTaskGroup { group in
                for try await connection in accepted {
                    group.addTask { await self.serve(connection) }
                }
            }
        }
    }

    private func keepTime() async throws {
        while true {
            try await Task.sleep(for: .seconds(1))
            relay.disconnect(await registry.tick())
        }
    }

    private func awaitShutdown() async throws {
        try await gracefulShutdown()
        await registry.endAllStreams()
        // Writers need a moment to finish their responses; whoever is slower is cut off.
        for _ in 0..<50 where await registry.streamCount > 0 { try await Task.sleep(for: .milliseconds(20)) }
        throw CancellationError()
    }

    private func serve(_ accepted: CoordinationListener.Accepted) async {
        do {
            let connection = try await accepted.get()
            let address = connection.channel.remoteAddress?.ipAddress
            await limiter.withPlace(for: address.flatMap { IPAddress($0) }) {
                switch connection {
                case .noise(let session):
                    await limiter.withPlace(for: session.machineKey) { await serve(session, remoteAddress: address) }
                case .plain(let channel):
                    await serve(channel)
                }
            }
            connection.channel.close(promise: nil)
        } catch {
            logger.trace("connection refused", metadata: ["error": "\(error)"])
        }
    }

    private func serve(_ session: ControlServerConnection, remoteAddress: String?) async {
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                do {
                    for try await stream in session.streams {
                        group.addTask {
                            await self.routes.serve(
                                stream,
                                machineKey: session.machineKey,
                                remoteAddress: remoteAddress
                            )
                        }
                    }
                } catch {
                    self.logger.trace("session ended", metadata: ["error": "\(error)"])
                }
                group.cancelAll()
            }
        } onCancel: {
            session.channel.close(promise: nil)
        }
    }

    private func serve(_ channel: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>) async {
        do {
            try await channel.executeThenClose { inbound, outbound in
                try await serve(inbound, outbound)
            }
        } catch {
            logger.trace("connection ended", metadata: ["error": "\(error)"])
        }
    }

    private func serve(
        _ inbound: NIOAsyncChannelInboundStream<HTTPServerRequestPart>,
        _ outbound: NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>
    ) async throws {
        var reader = HTTPCallReader(inbound.makeAsyncIterator(), limit: OuterRoutes.maximumBodyByteCount)
        do {
            while let call = try await reader.next() {
                var reply = await outer.reply(to: call)
                let isLast = !call.head.isKeepAlive
                if isLast { reply.headers.replaceOrAdd(name: "connection", value: "close") }
                try await Self.send(reply, withBody: call.head.method != .HEAD, outbound)
                if isLast { return }
            }
        } catch let failure as HTTPCallFailure where failure != .incomplete {
            var reply =
                failure == .bodyTooLarge
                ? HTTPReply.text(.payloadTooLarge, "request body too large\n")
                : HTTPReply.text(.badRequest, "invalid upgrade request\n")
            reply.headers.replaceOrAdd(name: "connection", value: "close")
            try await Self.send(reply, withBody: true, outbound)
        }
    }

    private static func send(
        _ reply: HTTPReply,
        withBody: Bool,
        _ outbound: NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>
    ) async throws {
        try await outbound.write(.head(reply.head(version: .http1_1)))
        if withBody { try await outbound.write(.body(.byteBuffer(reply.body))) }
        try await outbound.write(.end(nil))
    }
}

extension CoordinationServer.BoundAddress {
    /// Names a place that was bound.
    init(host: String, port: Int) {
        self.host = host
        self.port = port
        isLoopback = host.hasPrefix("127.") || host == "::1" || host == "localhost"
    }

    /// Reads a channel's local address.
    init(_ address: SocketAddress?) {
        self.init(host: address?.ipAddress ?? "", port: address?.port ?? 0)
    }

    /// `host:port` for a URL.
    var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

import ControlPlane
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
import NIOWebSocket
import Synchronization
import Transport
import WarrenCrypto

/// A control server on loopback that speaks the real wire format: `/key`, the upgrade, and whatever `respond` answers inside Noise.
struct LoopbackControlServer: Sendable {
    /// How a request inside Noise is answered: the test writes what it likes.
    typealias Responder =
        @Sendable (HTTPRequestHead, ByteBuffer, NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>)
        async throws -> Void

    /// What the server upgrades to.
    enum Carrier: Sendable { case raw, webSocket }

    /// Counts from any thread.
    final class Counter: Sendable {
        private let count = Atomic(0)
        var value: Int { count.load(ordering: .relaxed) }
        func increment() { count.add(1, ordering: .relaxed) }
    }

    enum Negotiated: Sendable {
        case control(ControlServerConnection)
        case http(NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>)
    }

    let key: MachinePrivateKey
    let announcedKey: MachinePublicKey
    let port: Int
    /// How many connections came.
    let connections: Counter
    private let sessions = Sessions()
    private let channel: NIOAsyncChannel<EventLoopFuture<Negotiated>, Never>

    private final class Sessions: Sendable {
        private let connections = Mutex<[ControlServerConnection]>([])
        var all: [ControlServerConnection] { connections.withLock { $0 } }
        func append(_ connection: ControlServerConnection) { connections.withLock { $0.append(connection) } }
    }

    init(
        key: MachinePrivateKey = MachinePrivateKey(),
        announcing: MachinePublicKey? = nil,
        earlyPayload: EarlyPayload?,
        tls: NIOSSLContext? = nil,
        carriers: Set<Carrier> = [.raw, .webSocket],
        port: Int = 0
    ) async throws {
        let connections = Counter()
        self.connections = connections
        self.key = key
        announcedKey = announcing ?? key.publicKey
        channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: "127.0.0.1", port: port) { channel in
                connections.increment()
                return channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    var upgraders: [any NIOTypedHTTPServerProtocolUpgrader<Negotiated>] = []
                    if carriers.contains(.raw) {
                        upgraders.append(
                            ControlServerUpgrader(
                                serverKey: key,
                                earlyPayload: { earlyPayload },
                                result: { connection, _ in Negotiated.control(connection) }
                            )
                        )
                    }
                    if carriers.contains(.webSocket) { upgraders.append(Self.webSocketUpgrader(key)) }
                    return try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                        configuration: NIOUpgradableHTTPServerPipelineConfiguration(
                            upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                                upgraders: upgraders,
                                notUpgradingCompletionHandler: { channel in
                                    channel.eventLoop.makeCompletedFuture {
                                        .http(try NIOAsyncChannel(wrappingChannelSynchronously: channel))
                                    }
                                }
                            )
                        )
                    )
                }
            }
        self.port = channel.channel.localAddress?.port ?? 0
    }

    private static func webSocketUpgrader(
        _ key: MachinePrivateKey
    ) -> NIOTypedWebSocketServerUpgrader<Negotiated> {
        WebSocketServer.upgrader(routes: [ControlConstants.webSocketRoute]) { channel, head, _ in
            do {
                return ControlServerConnection.accept(
                    on: channel,
                    initiation: try ControlUpgrade.initiation(inQueryOf: head).get(),
                    serverKey: key,
                    earlyPayload: nil
                ).map { .control($0) }
            } catch { return channel.eventLoop.makeFailedFuture(error) }
        }
    }

    /// Serves until cancelled.
    func run(_ respond: @escaping Responder) async throws {
        try await channel.executeThenClose { inbound in
            try await withThrowingDiscardingTaskGroup { group in
                for try await negotiation in inbound {
                    group.addTask {
                        // What a hostile or dying client does must not end the server.
                        guard let negotiated = try? await negotiation.get() else { return }
                        switch negotiated {
                        case .http(let stream): try? await serveKey(stream)
                        case .control(let connection): try? await serve(connection, respond)
                        }
                    }
                }
            }
        }
    }

    private func serveKey(_ stream: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>) async throws {
        try await stream.executeThenClose { inbound, outbound in
            // NIO keeps the head of an upgrade that nobody wanted to itself.
            var isKey = false
            for try await part in inbound {
                if case .head(let head) = part { isKey = head.uri.hasPrefix("/key?v=") }
                guard case .end = part else { continue }
                let text =
                    isKey
                    ? #"{"legacyPublicKey":"mkey:\#(String(repeating: "0", count: 64))","publicKey":"\#(announcedKey.text)"}"#
                    : ""
                try await Self.reply(isKey ? .ok : .notFound, text, to: outbound)
                return
            }
        }
    }

    /// Tells every client that this connection takes no new requests.
    func goAway() async throws {
        for session in sessions.all {
            let farewell = HTTP2Frame(
                streamID: .rootStream,
                payload: .goAway(lastStreamID: .maxID, errorCode: .noError, opaqueData: nil)
            )
            try await session.channel.writeAndFlush(farewell)
        }
    }

    private func serve(_ connection: ControlServerConnection, _ respond: @escaping Responder) async throws {
        sessions.append(connection)
        try await withThrowingDiscardingTaskGroup { group in
            for try await stream in connection.streams {
                group.addTask {
                    try? await stream.executeThenClose { inbound, outbound in
                        var head: HTTPRequestHead?
                        var body = ByteBuffer()
                        for try await part in inbound {
                            switch part {
                            case .head(let value): head = value
                            case .body(var chunk): body.writeBuffer(&chunk)
                            case .end:
                                // The loop goes on until the stream closes: leaving it earlier would cut the reply.
                                if let head { try await respond(head, body, outbound) }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Writes a whole reply.
    static func reply(
        _ status: HTTPResponseStatus,
        _ text: String,
        headers: HTTPHeaders = HTTPHeaders(),
        to outbound: NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>
    ) async throws {
        var headers = headers
        headers.add(name: "content-length", value: String(text.utf8.count))
        try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers)))
        try await outbound.write(.body(.byteBuffer(ByteBuffer(string: text))))
        try await outbound.write(.end(nil))
    }
}

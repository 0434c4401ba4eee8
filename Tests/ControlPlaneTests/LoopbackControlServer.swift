import ControlPlane
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
import WarrenCrypto

/// A control server on loopback that speaks the real wire format: `/key`, the upgrade, and whatever `respond` answers inside Noise.
struct LoopbackControlServer: Sendable {
    /// How a request inside Noise is answered: the test writes what it likes.
    typealias Responder =
        @Sendable (HTTPRequestHead, ByteBuffer, NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>)
        async throws -> Void

    enum Negotiated: Sendable {
        case control(ControlServerConnection)
        case http(NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>)
    }

    let key: MachinePrivateKey
    let announcedKey: MachinePublicKey
    let port: Int
    private let channel: NIOAsyncChannel<EventLoopFuture<Negotiated>, Never>

    init(
        key: MachinePrivateKey = MachinePrivateKey(),
        announcing: MachinePublicKey? = nil,
        earlyPayload: EarlyPayload?,
        tls: NIOSSLContext? = nil
    ) async throws {
        self.key = key
        announcedKey = announcing ?? key.publicKey
        channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    let upgrader = ControlServerUpgrader(
                        serverKey: key,
                        earlyPayload: { earlyPayload },
                        result: { connection, _ in Negotiated.control(connection) }
                    )
                    return try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                        configuration: NIOUpgradableHTTPServerPipelineConfiguration(
                            upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                                upgraders: [upgrader],
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
        port = channel.channel.localAddress?.port ?? 0
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
            for try await part in inbound {
                guard case .head(let head) = part else { continue }
                let isKey = head.uri.hasPrefix("/key?v=")
                let text =
                    isKey
                    ? #"{"legacyPublicKey":"mkey:\#(String(repeating: "0", count: 64))","publicKey":"\#(announcedKey.text)"}"#
                    : ""
                try await Self.reply(isKey ? .ok : .notFound, text, to: outbound)
                return
            }
        }
    }

    private func serve(_ connection: ControlServerConnection, _ respond: @escaping Responder) async throws {
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

import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import TestSupport
import WarrenCrypto

/// A service that receives webhooks on loopback and keeps what it got.
actor WebhookSink {
    /// One delivery.
    struct Delivery: Sendable {
        let headers: HTTPHeaders
        let body: Data
        let arrived: ContinuousClock.Instant
        var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
    }

    private(set) var deliveries: [Delivery] = []
    private var failures = 0
    private let group: MultiThreadedEventLoopGroup
    private var channel: (any Channel)?

    init(group: MultiThreadedEventLoopGroup = .singleton) { self.group = group }

    /// Listens, and answers the URL to register; the first `failures` deliveries get a 500.
    func start(failing failures: Int = 0) async throws -> String {
        self.failures = failures
        let channel = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(SinkHandler(sink: self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.channel = channel
        return "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/hook"
    }

    /// Stops listening.
    func stop() async { try? await channel?.close() }

    /// The first delivery of an event type, waiting `limit` for it.
    func first(_ type: String, within limit: Duration = .seconds(20)) async throws -> Delivery {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            if let found = deliveries.first(where: { $0.json.type?.string == type }) { return found }
            try await Poll.pause()
        }
        throw HarnessError("no \(type) arrived; got \(deliveries.map { $0.json.type?.string ?? "?" })")
    }

    fileprivate func take(_ delivery: Delivery) -> HTTPResponseStatus {
        deliveries.append(delivery)
        guard failures > 0 else { return .noContent }
        failures -= 1
        return .internalServerError
    }

    /// Whether a delivery is signed with `secret` as Standard Webhooks asks.
    static func isGenuine(_ delivery: Delivery, secret: String) -> Bool {
        guard let key = Data(base64Encoded: String(secret.dropFirst("whsec_".count))),
            let id = delivery.headers.first(name: "webhook-id"),
            let timestamp = delivery.headers.first(name: "webhook-timestamp"),
            let signatures = delivery.headers.first(name: "webhook-signature")
        else { return false }
        let signed = Array("\(id).\(timestamp).".utf8) + Array(delivery.body)
        let expected =
            "v1," + Data(HMACSHA256.authenticationCode(for: signed.span, key: Array(key).span)).base64EncodedString()
        return signatures.split(separator: " ").contains { $0 == expected }
    }
}

private final class SinkHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private let sink: WebhookSink
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(sink: WebhookSink) { self.sink = sink }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body.clear()
        case .body(var part): body.writeBuffer(&part)
        case .end:
            guard let head else { return }
            let delivery = WebhookSink.Delivery(
                headers: head.headers,
                body: Data(body.readableBytesView),
                arrived: .now
            )
            let channel = context.channel
            let sink = sink
            channel.eventLoop.makeFutureWithTask { await sink.take(delivery) }.whenSuccess { status in
                let head = HTTPResponseHead(version: .http1_1, status: status, headers: ["content-length": "0"])
                channel.write(HTTPServerResponsePart.head(head), promise: nil)
                channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
            }
        }
    }
}

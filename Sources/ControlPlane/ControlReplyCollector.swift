package import NIOCore
package import NIOHTTP1
import NIOTLS
import Transport

/// A request to the control server, over HTTP/1.1 or over HTTP/2 inside Noise.
package struct ControlRequest: Equatable, Sendable {
    /// The method.
    package var method: HTTPMethod
    /// Path and query.
    package var path: String
    /// Headers besides `Host`, `User-Agent` and `Content-Length`.
    package var headers: HTTPHeaders
    /// The body, possibly empty.
    package var body: ByteBuffer

    /// A request; POST with an empty body counts as having one.
    package init(
        _ method: HTTPMethod,
        _ path: String,
        headers: HTTPHeaders = HTTPHeaders(),
        body: ByteBuffer = ByteBuffer()
    ) {
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
    }

    /// The request head for a server that is called `authority`.
    package func head(authority: String) -> HTTPRequestHead {
        var headers = HTTPHeaders([("Host", authority), ("User-Agent", ControlRequest.userAgent)])
        if method == .POST || body.readableBytes > 0 {
            headers.add(name: "Content-Length", value: String(body.readableBytes))
        }
        headers.add(contentsOf: self.headers)
        return HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)
    }

    /// How we call ourselves.
    package static let userAgent = "warren"
}

/// A whole reply.
package struct ControlReply: Sendable {
    /// Status and headers.
    package let head: HTTPResponseHead
    /// The body, at most as long as the caller allowed.
    package let body: ByteBuffer

    /// Whatever is not 200 as an error, with at most 200 octets of the body.
    package func requireOK() throws(ControlError) {
        guard head.status != .ok else { return }
        throw ControlReply.failure(head: head, body: body)
    }

    /// The error that a reply with another status than 200 stands for.
    static func failure(head: HTTPResponseHead, body: ByteBuffer) -> ControlError {
        if head.status == .tooManyRequests {
            return .rateLimited(retryAfter: RetryAfter.delay(head.headers.first(name: "Retry-After")))
        }
        let octets = body.getBytes(at: body.readerIndex, length: min(200, body.readableBytes)) ?? []
        let detail = ControlError.printable(String(decoding: octets, as: UTF8.self))
        return .httpStatus(code: Int(head.status.code), detail: detail)
    }
}

/// Sends one request on its channel and collects the reply, within a size and a time.
final class ControlReplyCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let request: ControlRequest
    private let authority: String
    private let maximumByteCount: Int
    private let deadline: Duration?
    private let headGuard: ResponseHeadGuard?
    private let reply: EventLoopPromise<ControlReply>
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()
    private var alarm: Scheduled<Void>?
    private var isStarted = false
    private var isDone = false
    private var awaitsTLS: Bool

    /// Without `awaitsTLS` an end before the reply is just an end.
    init(
        request: ControlRequest,
        authority: String,
        maximumByteCount: Int,
        deadline: Duration?,
        headGuard: ResponseHeadGuard? = nil,
        awaitsTLS: Bool = false,
        reply: EventLoopPromise<ControlReply>
    ) {
        self.awaitsTLS = awaitsTLS
        self.request = request
        self.authority = authority
        self.maximumByteCount = maximumByteCount
        self.deadline = deadline
        self.headGuard = headGuard
        self.reply = reply
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if let deadline {
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            alarm = context.eventLoop.scheduleTask(in: TimeAmount(deadline)) {
                let (handler, context) = bound.value
                handler.fail(.timedOut, context: context)
            }
        }
        if context.channel.isActive { start(context: context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context: context)
        context.fireChannelActive()
    }

    private func start(context: ChannelHandlerContext) {
        guard !isStarted else { return }
        isStarted = true
        context.write(wrapOutboundOut(.head(request.head(authority: authority))), promise: nil)
        if request.body.readableBytes > 0 {
            context.write(wrapOutboundOut(.body(.byteBuffer(request.body))), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            // Informational replies precede the real one.
            guard head.status.code >= 200 else { return }
            self.head = head
            headGuard?.headEnded()
        case .body(var chunk):
            guard body.readableBytes + chunk.readableBytes <= maximumByteCount else {
                return fail(.oversized, context: context)
            }
            body.writeBuffer(&chunk)
        case .end:
            guard let head else { return fail(.malformedResponse, context: context) }
            finish(.success(ControlReply(head: head, body: body)))
            context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { awaitsTLS = false }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // A handshake that fails while the server hangs up may end before anybody says why.
        finish(.failure(awaitsTLS ? .tlsFailed : .connectionClosed))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(ControlError(mapping: error), context: context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish(.failure(.connectionClosed))
    }

    private func fail(_ error: ControlError, context: ChannelHandlerContext) {
        finish(.failure(error))
        context.close(promise: nil)
    }

    private func finish(_ result: Result<ControlReply, ControlError>) {
        guard !isDone else { return }
        isDone = true
        alarm?.cancel()
        alarm = nil
        reply.completeWith(result.mapError { $0 as any Error })
    }
}

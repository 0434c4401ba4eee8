import NIOCore
import NIOHTTP1

/// What a DERP host answers besides DERP: probes, and a word for people.
final class DERPHelperHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let probes: HostProbes
    private var head: HTTPRequestHead?

    init(probes: HostProbes) { self.probes = probes }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            guard let head = head.take() else { return }
            answer(head, context: context)
        }
    }

    private func answer(_ request: HTTPRequestHead, context: ChannelHandlerContext) {
        var reply = reply(to: request)
        let isLast = !request.isKeepAlive
        if isLast { reply.headers.add(name: "Connection", value: "close") }
        context.write(wrapOutboundOut(.head(reply.head(version: .http1_1))), promise: nil)
        if request.method != .HEAD, reply.body.readableBytes > 0 {
            context.write(wrapOutboundOut(.body(.byteBuffer(reply.body))), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
            if isLast { context.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func reply(to request: HTTPRequestHead) -> HTTPReply {
        if let reply = probes.reply(to: request) { return reply }
        switch request.uri.prefix(while: { $0 != "?" }) {
        case "/derp":
            var reply = HTTPReply.text(.upgradeRequired, "DERP requires connection upgrade\n")
            reply.headers.add(name: "Upgrade", value: "DERP")
            return reply
        case "/":
            let isRead = request.method == .GET || request.method == .HEAD
            return isRead ? .text(.ok, "This is a DERP relay.\n") : .methodNotAllowed("GET, HEAD")
        default:
            return .text(.notFound, "404 page not found\n")
        }
    }
}

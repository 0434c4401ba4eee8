import NIOCore
import NIOHTTP1

/// What a DERP host answers besides DERP: probes, the captive-portal check, and a word for people.
final class DERPHelperHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private var head: HTTPRequestHead?

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
        let (status, fields, text) = Self.reply(to: request)
        var headers = fields
        if status != .noContent { headers.add(name: "Content-Length", value: String(text.utf8.count)) }
        if !request.isKeepAlive { headers.add(name: "Connection", value: "close") }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD, !text.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        }
        let isLast = !request.isKeepAlive
        context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
            if isLast { context.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// Status, headers and body for a request.
    static func reply(to request: HTTPRequestHead) -> (HTTPResponseStatus, HTTPHeaders, String) {
        let isRead = request.method == .GET || request.method == .HEAD
        switch request.uri.prefix(while: { $0 != "?" }) {
        case "/derp":
            return (.upgradeRequired, ["Upgrade": "DERP"], "DERP requires connection upgrade\n")
        case "/derp/probe", "/derp/latency-check":
            guard isRead else { return (.methodNotAllowed, ["Allow": "GET, HEAD"], "bogus probe method\n") }
            return (.ok, ["Access-Control-Allow-Origin": "*"], "")
        case "/generate_204":
            var headers: HTTPHeaders = [
                "Cache-Control": "no-cache, no-store, must-revalidate, no-transform, max-age=0"
            ]
            if let challenge = request.headers.first(name: "X-Tailscale-Challenge"), isEchoable(challenge) {
                headers.add(name: "X-Tailscale-Response", value: "response \(challenge)")
            }
            return (.noContent, headers, "")
        case "/":
            return (.ok, ["Content-Type": "text/plain; charset=utf-8"], "This is a DERP relay.\n")
        default:
            return (.notFound, ["Content-Type": "text/plain; charset=utf-8"], "404 page not found\n")
        }
    }

    /// At most 64 octets that cannot mean anything in a header.
    private static func isEchoable(_ challenge: String) -> Bool {
        (1...64).contains(challenge.utf8.count)
            && challenge.utf8.allSatisfy { octet in
                (48...57).contains(octet) || (65...90).contains(octet) || (97...122).contains(octet)
                    || [0x2E, 0x2D, 0x5F, 0x3A].contains(octet)
            }
    }
}

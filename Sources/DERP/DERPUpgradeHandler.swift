import NIOCore
import NIOHTTP1

/// Sends `GET /derp` and gives way to the frames after a 101.
///
/// Octets behind the reply's header block already are frames: NIO's response decoder forwards them while it leaves the pipeline, and this
/// handler passes them on untouched.
final class DERPUpgradeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = HTTPClientRequestPart

    private enum State { case awaitingHead, awaitingEnd, upgraded, failed }

    private var state = State.awaitingHead
    private let host: String
    private let upgraded: EventLoopPromise<Void>

    /// `upgraded` is fulfilled in the instant before the first frame can arrive.
    init(host: String, upgraded: EventLoopPromise<Void>) {
        self.host = host
        self.upgraded = upgraded
    }

    func handlerAdded(context: ChannelHandlerContext) {
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: host)
        headers.add(name: "User-Agent", value: "warren")
        headers.add(name: "Upgrade", value: DERPConstants.upgradeToken)
        headers.add(name: "Connection", value: "Upgrade")
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: DERPConstants.upgradePath, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .upgraded:
            context.fireChannelRead(data)
        case .failed:
            break
        case .awaitingHead, .awaitingEnd:
            switch unwrapInboundIn(data) {
            case .head(let head):
                guard head.status == .switchingProtocols,
                    head.headers.first(name: "Upgrade")?.lowercased() == DERPConstants.upgradeToken.lowercased()
                else { return fail(.upgradeRefused(status: Int(head.status.code)), context: context) }
                state = .awaitingEnd
            case .body:
                fail(.badGreeting, context: context)
            case .end:
                guard state == .awaitingEnd else { return fail(.badGreeting, context: context) }
                state = .upgraded
                upgraded.succeed()
            }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(.connectionClosed, context: context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if state == .upgraded {
            context.fireErrorCaught(error)
        } else {
            fail(DERPError(mapping: error), context: context)
        }
    }

    private func fail(_ error: DERPError, context: ChannelHandlerContext) {
        guard state != .failed, state != .upgraded else { return }
        state = .failed
        upgraded.fail(error)
        context.close(promise: nil)
    }
}

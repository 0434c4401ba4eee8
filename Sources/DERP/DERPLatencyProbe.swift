package import NIOCore
import NIOHTTP1
import NIOSSL
import NIOTLS
package import NetTypes
package import Tailcfg
package import Transport

/// Measures how far a relay region is by HTTPS, for networks that let no STUN answer through.
package struct DERPLatencyProbe {
    private let eventLoop: any EventLoop
    private let policy: any DialPolicy
    private let proxies: ProxySettings

    /// A probe under a policy, by the way that relay connections take.
    package init(eventLoop: any EventLoop, policy: any DialPolicy, proxies: ProxySettings = .none) {
        self.eventLoop = eventLoop
        self.policy = policy
        self.proxies = proxies
    }

    /// The time between a request and the first octets of its answer, TLS being up; fails with `DERPError`.
    ///
    /// The certificate is checked like a relay's: an answer of someone in between says nothing about the region.
    package func measure(_ region: DERPRegion, deadline: Duration) -> EventLoopFuture<Duration> {
        let promise = eventLoop.makePromise(of: Duration.self)
        let eventLoop = eventLoop
        let scope = DialScope(eventLoop: eventLoop)
        let alarm = eventLoop.scheduleTask(in: TimeAmount(deadline)) { promise.fail(DERPError.timedOut) }
        let dialed = DERPDialer(eventLoop: eventLoop, policy: policy, proxies: proxies, scope: scope).dial(region)
        dialed.assumeIsolated().whenComplete { result in
            switch result {
            case .failure(let error): promise.fail(DERPError(mapping: error))
            case .success((let channel, let node)):
                promise.futureResult.assumeIsolated().whenComplete { _ in channel.close(promise: nil) }
                do { try Self.configure(channel, node: node, promise: promise) } catch {
                    promise.fail(DERPError(mapping: error))
                }
            }
        }
        promise.futureResult.assumeIsolated().whenComplete { _ in
            alarm.cancel()
            scope.cancel()
        }
        return promise.futureResult
    }

    private static func configure(
        _ channel: any Channel,
        node: DERPNode,
        promise: EventLoopPromise<Duration>
    ) throws {
        let verifier = DERPCertificateVerifier(
            rule: DERPCertificateRule(
                certName: node.certName,
                hostName: node.hostName,
                insecureForTests: node.insecureForTests
            ),
            hostName: node.hostName
        )
        let tls = try verifier.makeHandler { promise.fail(DERPError.certificateRefused($0)) }
        let port = node.effectiveDERPPort
        try channel.pipeline.syncOperations.addHandlers([
            tls, HTTPRequestEncoder(),
            HTTPHandover.responseDecoder(),
            DERPLatencyHandler(host: port == 443 ? node.hostName : "\(node.hostName):\(port)", promise: promise),
        ])
    }
}

/// Asks once, as soon as TLS is up, and takes the time of the answer.
private final class DERPLatencyHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let host: String
    private let promise: EventLoopPromise<Duration>
    private var askedAt: NIODeadline?

    init(host: String, promise: EventLoopPromise<Duration>) {
        self.host = host
        self.promise = promise
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent, askedAt == nil { ask(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), let askedAt else { return }
        guard head.status == .ok else {
            return promise.fail(DERPError.upgradeRefused(status: Int(head.status.code)))
        }
        promise.succeed(max(Duration(NIODeadline.now() - askedAt), .nanoseconds(1)))
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(DERPError.connectionClosed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(DERPError(mapping: error))
        context.close(promise: nil)
    }

    private func ask(_ context: ChannelHandlerContext) {
        askedAt = .now()
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: host)
        headers.add(name: "User-Agent", value: "warren")
        let path = DERPConstants.latencyPath
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: path, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}

package import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
package import NetTypes

/// Opens TCP connections to targets that someone outside chose: under a policy, and through a proxy where one is configured.
package struct StreamDialer: Sendable {
    private let eventLoop: any EventLoop
    private let policy: any DialPolicy
    private let purpose: DialPurpose
    private let proxies: ProxySettings

    /// A dialer whose channels live on `eventLoop`.
    package init(
        eventLoop: any EventLoop,
        policy: any DialPolicy,
        purpose: DialPurpose,
        proxies: ProxySettings = .none
    ) {
        self.eventLoop = eventLoop
        self.policy = policy
        self.purpose = purpose
        self.proxies = proxies
    }

    /// Whether connections to this host go through a proxy.
    package func usesProxy(for host: String, port: Int) -> Bool { proxies.proxy(for: host, port: port) != nil }

    /// Connects; of several addresses the first that answers wins.
    ///
    /// The channel is handed over on its event loop, before anything was read from it. `isSecure` tells that TLS follows, which is what a
    /// proxy is for: clear text is always dialled directly.
    /// - Throws: `TransportError`, in the future.
    package func connect(
        to target: DialTarget,
        isSecure: Bool,
        within limit: TimeAmount,
        scope: DialScope
    ) -> EventLoopFuture<any Channel> {
        guard isSecure, let proxy = proxies.proxy(for: target.host, port: target.port) else {
            return open(target, policy: policy, within: limit, scope: scope)
        }
        // A name is resolved by the proxy; an address can be judged here.
        if let addresses = target.addresses, !addresses.contains(where: { policy.permits($0.unmapped, for: purpose) }) {
            return eventLoop.makeFailedFuture(TransportError.blockedByPolicy)
        }
        // The operator named the proxy, so it may be anywhere, also on loopback.
        let place = DialTarget(host: proxy.host, port: proxy.port)
        return open(place, policy: EveryAddress(), within: limit, scope: scope)
            .flatMapErrorThrowing { error in
                throw TransportError(mapping: error) == .timedOut
                    ? .timedOut : TransportError.proxyUnreachable(proxy.name)
            }
            .flatMap { channel in ProxyTunnel.open(to: target, through: proxy, on: channel).map { channel } }
    }

    private func open(
        _ target: DialTarget,
        policy: any DialPolicy,
        within limit: TimeAmount,
        scope: DialScope
    ) -> EventLoopFuture<any Channel> {
        let purpose = purpose
        var bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(limit)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try scope.admit(channel)
                    try channel.pipeline.syncOperations.addHandler(
                        DialPolicyHandler(policy: policy, purpose: purpose, families: target.families)
                    )
                }
            }
        if let addresses = target.addresses {
            bootstrap = bootstrap.resolver(FixedResolver(eventLoop: eventLoop, addresses: addresses))
        }
        return bootstrap.connect(host: target.host, port: target.port)
            .flatMapErrorThrowing { throw TransportError(mapping: $0) }
    }
}

/// Permits every address: the policy for what the operator wrote down.
private struct EveryAddress: DialPolicy {
    func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { true }
}

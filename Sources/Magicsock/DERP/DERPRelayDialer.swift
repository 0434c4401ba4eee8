import DERP
package import Logging
package import NIOCore
package import NetTypes
package import Tailcfg
package import WarrenCrypto

/// Opens relay connections with the DERP client.
package struct DERPRelayDialer: RelayDialer {
    private let policy: any DialPolicy
    private let logger: Logger

    /// A dialer under a policy.
    package init(policy: any DialPolicy, logger: Logger) {
        self.policy = policy
        self.logger = logger
    }

    /// Connects and logs in; afterwards `events` is called on `eventLoop` until `.closed` or `close()`.
    package func connect(
        to region: DERPRegion,
        privateKey: NodePrivateKey,
        eventLoop: any EventLoop,
        events: @escaping (RelayEvent) -> Void
    ) -> EventLoopFuture<any RelayConnection> {
        let connection = DERPRelayConnection(
            promise: eventLoop.makePromise(of: (any RelayConnection).self),
            events: events
        )
        let client = DERPClient(
            region: region,
            privateKey: privateKey,
            eventLoop: eventLoop,
            policy: policy,
            logger: logger
        ) { [weak connection] event in connection?.handle(event) }
        connection.client = client
        // The client keeps itself alive while it dials; this keeps its owner alive as long.
        connection.promise.futureResult.assumeIsolated().whenComplete { _ in _ = connection }
        client.start()
        return connection.promise.futureResult
    }

    /// Measures the distance of a region by HTTPS.
    package func measure(
        _ region: DERPRegion,
        deadline: Duration,
        eventLoop: any EventLoop
    ) -> EventLoopFuture<Duration> {
        DERPLatencyProbe(eventLoop: eventLoop, policy: policy).measure(region, deadline: deadline)
    }
}

/// A DERP client behind the socket's view of a relay; confined to the node's event loop.
private final class DERPRelayConnection: RelayConnection {
    let promise: EventLoopPromise<any RelayConnection>
    var client: DERPClient?
    private let events: (RelayEvent) -> Void
    private var isUp = false

    init(promise: EventLoopPromise<any RelayConnection>, events: @escaping (RelayEvent) -> Void) {
        self.promise = promise
        self.events = events
    }

    deinit { client?.close() }

    func handle(_ event: DERPEvent) {
        switch event {
        case .connected:
            isUp = true
            promise.assumeIsolated().succeed(self)
        case .received(let peer, let packet): events(.received(from: peer, packet: packet))
        case .peerGone(let peer, _): events(.peerGone(peer))
        case .pong, .keepAlive: events(.alive)
        case .health(let problem): events(.health(problem))
        case .restarting(let wait, _): events(.restarting(reconnectAfter: wait))
        case .closed(let error):
            if isUp { events(.closed) } else { promise.fail(error) }
        }
    }

    func send(_ packet: Span<UInt8>, to peer: NodePublicKey) { client?.send(packet, to: peer) }

    func flush() { client?.flush() }

    func notePreferred(_ isHome: Bool) { client?.notePreferred(isHome) }

    func ping() { client?.ping(0) }

    func close() { client?.close() }
}

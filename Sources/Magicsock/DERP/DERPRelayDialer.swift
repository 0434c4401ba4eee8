import DERP
package import Logging
package import NIOCore
package import NetTypes
import Synchronization
package import Tailcfg
package import Transport
package import WarrenCrypto

/// Opens relay connections with the DERP client, and remembers which regions had to be reached by WebSocket.
package struct DERPRelayDialer: RelayDialer {
    private let policy: any DialPolicy
    private let proxies: ProxySettings
    private let transport: StreamTransport
    private let logger: Logger
    private let memory = CarrierMemory()

    /// A dialer under a policy; connections are direct and by raw upgrade first, unless told otherwise.
    package init(
        policy: any DialPolicy,
        proxies: ProxySettings = .none,
        transport: StreamTransport = .auto,
        logger: Logger
    ) {
        self.policy = policy
        self.proxies = proxies
        self.transport = transport
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
        let memory = memory
        let id = region.regionID
        let client = DERPClient(
            region: region,
            privateKey: privateKey,
            eventLoop: eventLoop,
            policy: policy,
            proxies: proxies,
            transport: memory.prefersWebSocket(id) ? .webSocket : transport,
            logger: logger
        ) { [weak connection] event in
            if case .connected = event { memory.note(id, usesWebSocket: connection?.client?.usesWebSocket == true) }
            // The next attempt begins without prejudice.
            if case .closed = event, connection?.isUp == false { memory.note(id, usesWebSocket: false) }
            connection?.handle(event)
        }
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
        DERPLatencyProbe(eventLoop: eventLoop, policy: policy, proxies: proxies).measure(region, deadline: deadline)
    }
}

/// The regions whose relays answered by WebSocket only.
private final class CarrierMemory: Sendable {
    private let regions = Mutex<Set<DERPRegionID>>([])

    func prefersWebSocket(_ region: DERPRegionID) -> Bool { regions.withLock { $0.contains(region) } }

    func note(_ region: DERPRegionID, usesWebSocket: Bool) {
        regions.withLock { regions in
            if usesWebSocket { _ = regions.insert(region) } else { _ = regions.remove(region) }
        }
    }
}

/// A DERP client behind the socket's view of a relay; confined to the node's event loop.
private final class DERPRelayConnection: RelayConnection {
    let promise: EventLoopPromise<any RelayConnection>
    var client: DERPClient?
    private let events: (RelayEvent) -> Void
    private(set) var isUp = false

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

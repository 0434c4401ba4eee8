package import NIOCore
package import Tailcfg
package import WarrenCrypto

/// One logged-in connection to a relay region, as the socket uses it; confined to the node's event loop.
package protocol RelayConnection: AnyObject {
    /// Queues a packet for a peer; `flush` sends it.
    func send(_ packet: Span<UInt8>, to peer: NodePublicKey)
    /// Sends what was queued.
    func flush()
    /// Tells the relay whether it is this node's home.
    func notePreferred(_ isHome: Bool)
    /// Asks the relay for a sign of life, which comes as `.alive`.
    func ping()
    /// Ends the connection; no event follows.
    func close()
}

/// What a relay connection reports, on the node's event loop.
package enum RelayEvent: Sendable {
    /// A packet from a peer.
    case received(from: NodePublicKey, packet: ByteBuffer)
    /// The relay cannot reach this peer any more.
    case peerGone(NodePublicKey)
    /// A keep-alive or another sign of life.
    case alive
    /// The relay's opinion of this connection; nil when it is healthy again.
    case health(String?)
    /// The relay goes down and asks to be called again after this time.
    case restarting(reconnectAfter: Duration)
    /// The connection ended.
    case closed
}

/// Opens connections to relay regions.
package protocol RelayDialer {
    /// Connects and logs in; afterwards `events` is called on `eventLoop` until `.closed` or `close()`.
    func connect(
        to region: DERPRegion,
        privateKey: NodePrivateKey,
        eventLoop: any EventLoop,
        events: @escaping (RelayEvent) -> Void
    ) -> EventLoopFuture<any RelayConnection>
    /// Measures the distance of a region by HTTPS.
    func measure(
        _ region: DERPRegion,
        deadline: Duration,
        eventLoop: any EventLoop
    ) -> EventLoopFuture<Duration>
}

package import Magicsock
package import NetTypes
package import Tailcfg
package import WarrenCrypto

/// The packet path of one node, as the actor beside it sees it; every call hops to the node's event loop.
package protocol PacketPlane: Sendable {
    /// Seals this process's path discovery; new with every plane.
    var discoKey: DiscoPublicKey { get }
    /// Raised whenever `report` has something new.
    var reportSignal: LevelSignal { get }
    /// What control must be told about how this node can be reached; nil before anything is known.
    func report() async -> MagicSocketReport?
    /// Binds the sockets and begins to serve the guest.
    ///
    /// - Throws: when no socket can be bound at all.
    func start() async throws
    /// Takes the network map as it is now.
    func apply(_ tables: NodeTables) async
    /// Takes everything away from the guest: the node has no place in a tailnet now.
    func clear() async
    /// Takes the node key to use from now on.
    func setNodeKey(_ key: NodePrivateKey) async
    /// Tells whether the map poll is up.
    func setControlConnected(_ isConnected: Bool) async
    /// How each peer is reached and what was exchanged with it.
    func traffic() async -> NodeTraffic
    /// Ends every socket, connection and timer.
    func close() async
}

/// A network map with what is computed from it once and used for every packet.
package struct NodeTables: Sendable {
    /// The map.
    package let map: NetworkMap
    /// Which peer gets which destination.
    package let routes: RouteTable
    /// The name that the guest is given.
    package let hostname: String
    /// Whether the guest uses the tailnet's resolver configuration.
    package let acceptsDNS: Bool

    /// Joins the parts.
    package init(map: NetworkMap, routes: RouteTable, hostname: String, acceptsDNS: Bool) {
        self.map = map
        self.routes = routes
        self.hostname = hostname
        self.acceptsDNS = acceptsDNS
    }
}

/// What was exchanged with each peer, and what was dropped.
package struct NodeTraffic: Sendable {
    /// One peer's share.
    package struct Peer: Sendable {
        /// How it is reached.
        package var path: PeerPathStatus
        /// Seconds since the last WireGuard handshake; nil without one.
        package var secondsSinceHandshake: Double?

        /// Joins the two.
        package init(path: PeerPathStatus, secondsSinceHandshake: Double?) {
            self.path = path
            self.secondsSinceHandshake = secondsSinceHandshake
        }
    }

    /// Peers by node key.
    package var peers: [NodePublicKey: Peer]
    /// Packets dropped, by reason.
    package var drops: [String: UInt64]

    /// Joins the two.
    package init(peers: [NodePublicKey: Peer] = [:], drops: [String: UInt64] = [:]) {
        self.peers = peers
        self.drops = drops
    }
}

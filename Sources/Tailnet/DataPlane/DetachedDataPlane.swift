import Magicsock
package import NIOCore
package import NetTypes
package import Tailcfg
package import WarrenCrypto

/// The packets of one node without its sockets and without its control server, to be measured.
///
/// The code between the two channels is the node's own. Confined to the event loop of the channels.
package final class DetachedDataPlane {
    private let plane: DataPlane
    private let configuration: TailnetNodeConfiguration
    private var reducer = NetworkMapReducer()
    private var translation = NetworkTranslation()

    /// A data plane that does nothing before `start`.
    package init(eventLoop: any EventLoop, nodeKey: NodePrivateKey, configuration: TailnetNodeConfiguration) {
        self.configuration = configuration
        plane = DataPlane(
            eventLoop: eventLoop,
            nodeKey: nodeKey,
            configuration: configuration,
            isOneMachine: true,
            report: { _ in }
        )
    }

    /// The key that seals this node's disco messages.
    package var discoPublicKey: DiscoPublicKey { plane.discoPublicKey }

    /// What was dropped, by reason.
    package var dropsByReason: [String: UInt64] { plane.dropsByReason }

    /// Begins.
    ///
    /// - Parameters:
    ///   - nic: In place of QEMU's socket: a byte stream that is made active afterwards.
    ///   - udp: In place of the UDP socket: `AddressedEnvelope<ByteBuffer>` both ways.
    ///   - localAddress: What the UDP channel counts as bound to.
    /// - Throws: What the channels' pipelines throw.
    package func start(nic: any Channel, udp: any Channel, at localAddress: AddressPort) throws {
        try plane.start(nic: nic, udp: udp, at: localAddress)
    }

    /// Takes a network map.
    package func apply(_ map: NetworkMap, now: ControlTime) {
        plane.apply(PlaneNetwork(map: map, preferences: configuration.preferences, now: now))
    }

    /// Takes a message of a map stream, as a node does.
    ///
    /// - Throws: `NetworkMapError`.
    package func receive(_ response: MapResponse, now: ControlTime) throws(NetworkMapError) {
        guard let change = try reducer.apply(response, now: now), let map = reducer.map else { return }
        let step = translation.translate(map, change: change, preferences: configuration.preferences, now: now)
        switch step {
        case .whole(let network): plane.apply(network)
        case .change(let change): plane.apply(change)
        }
    }

    /// How many peers packets can go to.
    package var peerCount: Int { plane.peers.count }

    /// Whether a direct path to this peer is proven at the moment.
    package func isDirect(to peer: NodeID) -> Bool {
        guard case .direct? = plane.snapshot().peers[peer]?.path.path else { return false }
        return true
    }

    /// Ends it for good.
    package func stop() { plane.stop() }
}

import Disco
import NIOCore
package import NetTypes
package import Tailcfg
package import WarrenCrypto

/// One peer as the socket keeps it; confined to the node's event loop.
package final class MagicPeer {
    /// Who it is.
    package let nodeKey: NodePublicKey
    /// The state of its paths.
    package internal(set) var endpoint = PeerEndpoint()
    /// What seals disco messages to it; zero when it speaks no disco.
    package internal(set) var discoKey: DiscoPublicKey = .zero
    /// Octets of tunnel datagrams sent to it.
    package internal(set) var sentByteCount: UInt64 = 0
    /// Octets of tunnel datagrams that were received from it and were authentic.
    package private(set) var receivedByteCount: UInt64 = 0
    /// The relay through which it was last heard.
    var reverseRegion: DERPRegionID = .none
    /// Where its last authentic ping by UDP came from: better than nothing while no path is proven.
    var lastPingSource: AddressPort?
    /// The last handshake message that nothing came back for yet, and how often a relay had to return it.
    var handshake: (octets: [UInt8], at: MonotonicTime, resends: Int)?
    var directRemote: SocketAddress?
    var timer: Scheduled<Void>?
    var timerDeadline: MonotonicTime?

    /// The ways to a peer that speaks no disco but plain WireGuard; nil for an ordinary one.
    var plain: PlainPath?
    private let origin: DatagramOrigin
    private var ownDiscoKey: DiscoPrivateKey?
    private var preparedBox: NaClBox?

    init(nodeKey: NodePublicKey, origin: DatagramOrigin) {
        self.nodeKey = nodeKey
        self.origin = origin
    }

    /// Seals and opens disco messages; nil for a peer that speaks none.
    ///
    /// Made when it is first needed: it takes a key exchange, and most peers of a big tailnet are never talked to.
    var discoBox: NaClBox? {
        if let preparedBox { return preparedBox }
        guard !discoKey.isZero, let ownDiscoKey else { return nil }
        // A key of low order seals nothing: such a peer is reachable by relay only.
        preparedBox = try? NaClBox(precomputing: ownDiscoKey, discoKey)
        return preparedBox
    }

    /// Notes an authentic tunnel datagram of the peer: no handshake message need be sent again.
    package func noteAnswered(byteCount: Int) {
        receivedByteCount &+= UInt64(byteCount)
        if handshake != nil { handshake = nil }
        if plain != nil || endpoint.isSilent { noteOrigin() }
    }

    private func noteOrigin() {
        guard let source = origin.source else { return }
        if plain == nil {
            if source == directRemote { endpoint.extendTrust(at: origin.now) }
        } else {
            let isCurrent = source == directRemote
            let address = isCurrent ? plain?.current : AddressPort(source)
            plain?.receive(from: address)
            if !isCurrent { directRemote = plain?.current?.socketAddress }
        }
    }

    func setDiscoKey(_ key: DiscoPublicKey, own: DiscoPrivateKey) {
        guard key != discoKey else { return }
        discoKey = key
        ownDiscoKey = own
        preparedBox = nil
        endpoint.reset()
        lastPingSource = nil
        directRemote = nil
    }
}

/// What control says about one peer, as far as paths are concerned.
package struct MagicPeerDescription: Hashable, Sendable {
    /// Who it is.
    package var nodeKey: NodePublicKey
    /// What seals disco messages to it.
    package var discoKey: DiscoPublicKey
    /// Its home relay.
    package var homeDERP: DERPRegionID
    /// Where it says it can be reached by UDP.
    package var endpoints: [AddressPort]
    /// Whether it speaks WireGuard alone: no disco, no relay.
    package var isWireGuardOnly: Bool

    /// Describes a peer.
    package init(
        nodeKey: NodePublicKey,
        discoKey: DiscoPublicKey,
        homeDERP: DERPRegionID,
        endpoints: [AddressPort],
        isWireGuardOnly: Bool = false
    ) {
        self.nodeKey = nodeKey
        self.discoKey = discoKey
        self.homeDERP = homeDERP
        self.endpoints = endpoints
        self.isWireGuardOnly = isWireGuardOnly
    }
}

/// Where the datagram that is being handled came from, for the few peers whose paths depend on it.
final class DatagramOrigin {
    /// Its sender; nil for one that a relay delivered.
    var source: SocketAddress?
    /// The loop's clock.
    var now: MonotonicTime { MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds) }
}

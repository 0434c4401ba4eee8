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
    var discoBox: NaClBox?
    var directRemote: SocketAddress?
    var timer: Scheduled<Void>?
    var timerDeadline: MonotonicTime?

    init(nodeKey: NodePublicKey) { self.nodeKey = nodeKey }

    /// Notes an authentic tunnel datagram of the peer: no handshake message need be sent again.
    package func noteAnswered(byteCount: Int) {
        receivedByteCount &+= UInt64(byteCount)
        if handshake != nil { handshake = nil }
    }

    func setDiscoKey(_ key: DiscoPublicKey, own: DiscoPrivateKey) {
        guard key != discoKey else { return }
        discoKey = key
        // A key of low order seals nothing: such a peer is reachable by relay only.
        discoBox = key.isZero ? nil : try? NaClBox(precomputing: own, key)
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

    /// Describes a peer.
    package init(
        nodeKey: NodePublicKey,
        discoKey: DiscoPublicKey,
        homeDERP: DERPRegionID,
        endpoints: [AddressPort]
    ) {
        self.nodeKey = nodeKey
        self.discoKey = discoKey
        self.homeDERP = homeDERP
        self.endpoints = endpoints
    }
}

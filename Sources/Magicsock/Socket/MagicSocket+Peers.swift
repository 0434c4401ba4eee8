import NIOCore
import NetTypes
package import WarrenCrypto

extension MagicSocket {
    /// Takes the peers of the current map and returns them; those that stay keep their paths, all others are forgotten.
    package func setPeers(_ descriptions: [MagicPeerDescription]) -> [MagicPeer] {
        let wanted = Set(descriptions.map(\.nodeKey))
        for key in Array(peers.keys) where !wanted.contains(key) { removePeer(key) }
        peers.reserveCapacity(descriptions.count)
        return descriptions.map(setPeer)
    }

    /// Takes one peer as it is now and returns it; one that was known keeps its paths.
    package func setPeer(_ description: MagicPeerDescription) -> MagicPeer {
        let now = now
        let peer = peers[description.nodeKey] ?? MagicPeer(nodeKey: description.nodeKey, origin: origin)
        peers[peer.nodeKey] = peer
        if description.isWireGuardOnly {
            setDiscoKey(.zero, of: peer)
            setPlain(peer, description.endpoints)
        } else {
            peer.plain = nil
            peer.endpoint.isSilent = switches.silentDisco
            setDiscoKey(description.discoKey, of: peer)
            let isRehomed = peer.endpoint.homeDERP != description.homeDERP
            peer.endpoint.homeDERP = description.homeDERP
            if isRehomed { resendHandshake(to: peer, directly: false) }
            peer.endpoint.setNetworkMapCandidates(description.endpoints.filter(isPermitted), at: now)
        }
        if peer.endpoint.isActive(at: now) { poll(peer) }
        return peer
    }

    /// Forgets a peer.
    package func removePeer(_ key: NodePublicKey) {
        guard let peer = peers.removeValue(forKey: key) else { return }
        peer.timer?.cancel()
        leave(peer, peer.discoKey)
        if peer.plain != nil { hasPlainPeers = peers.values.contains { $0.plain != nil } }
    }

    private func setDiscoKey(_ key: DiscoPublicKey, of peer: MagicPeer) {
        let previous = peer.discoKey
        peer.setDiscoKey(key, own: discoKey)
        if previous != key { leave(peer, previous) }
        guard !key.isZero, peersByDisco[key]?.contains(where: { $0 === peer }) != true else { return }
        peersByDisco[key, default: []].append(peer)
    }

    private func leave(_ peer: MagicPeer, _ key: DiscoPublicKey) {
        peersByDisco[key]?.removeAll { $0 === peer }
        if peersByDisco[key]?.isEmpty == true { peersByDisco[key] = nil }
    }
}

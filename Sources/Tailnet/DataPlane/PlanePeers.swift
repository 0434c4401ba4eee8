import Magicsock
import Tailcfg
import WireGuard

/// One peer on the packet path.
final class PlanePeer {
    let id: NodeID
    let index: PeerIndex
    let path: MagicPeer
    var isJailed = false

    init(id: NodeID, index: PeerIndex, path: MagicPeer) {
        self.id = id
        self.index = index
        self.path = path
    }
}

/// The peers of a data plane: by place for packets, by number for changes of the map.
struct PlanePeers {
    private var slots: [PlanePeer?] = []
    private var indices: [NodeID: PeerIndex] = [:]

    /// How many there are.
    var count: Int { indices.count }
    /// All of them.
    var values: some Sequence<PlanePeer> { slots.lazy.compactMap(\.self) }

    /// The peer that WireGuard calls so.
    subscript(index: PeerIndex) -> PlanePeer? {
        guard index.place < slots.count, let peer = slots[index.place], peer.index == index else { return nil }
        return peer
    }

    /// The peer that control calls so.
    subscript(id: NodeID) -> PlanePeer? { indices[id].flatMap { self[$0] } }

    /// Adds a peer, or replaces the one in its place.
    mutating func insert(_ peer: PlanePeer) {
        while slots.count <= peer.index.place { slots.append(nil) }
        slots[peer.index.place] = peer
        indices[peer.id] = peer.index
    }

    /// Takes a peer out.
    mutating func remove(_ id: NodeID) {
        guard let index = indices.removeValue(forKey: id), slots[index.place]?.index == index else { return }
        slots[index.place] = nil
    }

    /// Takes all out.
    mutating func removeAll() { self = PlanePeers() }
}

/// The peers of a network map by number, packed: reading one makes a `Node` of it, and writing one packs it again.
package struct PeerTable: Sendable {
    private var packer = NodePacker()
    private var nodes: [PackedNode] = []
    private var ids: [NodeID] = []
    private var places: [NodeID: Int32] = [:]

    /// No peers.
    package init() {}

    /// How many peers there are.
    package var count: Int { nodes.count }
    /// Whether there are none.
    package var isEmpty: Bool { nodes.isEmpty }
    /// The numbers of the peers, in no order.
    package var keys: [NodeID] { ids }

    /// Makes room for so many peers.
    package mutating func reserveCapacity(_ count: Int) {
        nodes.reserveCapacity(count)
        ids.reserveCapacity(count)
        places.reserveCapacity(count)
    }

    /// Whether there is a peer with this number.
    package func contains(_ id: NodeID) -> Bool { places[id] != nil }

    /// The peer with this number.
    package subscript(id: NodeID) -> Node? {
        get { places[id].map { packer.unpack(nodes[Int($0)]) } }
        set {
            guard let newValue else {
                removeValue(forKey: id)
                return
            }
            let packed = packer.pack(newValue)
            if let place = places[id] {
                nodes[Int(place)] = packed
            } else {
                places[id] = Int32(nodes.count)
                nodes.append(packed)
                ids.append(id)
            }
        }
    }

    /// Takes a peer out.
    @discardableResult
    package mutating func removeValue(forKey id: NodeID) -> Node? {
        guard let place = places.removeValue(forKey: id) else { return nil }
        let removed = packer.unpack(nodes[Int(place)])
        // The last one fills the gap.
        let (last, lastID) = (nodes.removeLast(), ids.removeLast())
        if Int(place) < nodes.count {
            nodes[Int(place)] = last
            ids[Int(place)] = lastID
            places[lastID] = place
        }
        return removed
    }

    /// The peers, in no order; each is unpacked when it is reached.
    package var values: some Sequence<Node> { nodes.lazy.map { packer.unpack($0) } }
}

extension PeerTable: Hashable {
    /// Whether both hold the same peers.
    package static func == (lhs: Self, rhs: Self) -> Bool {
        lhs.count == rhs.count && lhs.ids.allSatisfy { lhs[$0] == rhs[$0] }
    }

    /// Tables of as many peers may collide.
    package func hash(into hasher: inout Hasher) { hasher.combine(count) }
}

extension PeerTable: ExpressibleByDictionaryLiteral {
    /// The peers of the literal.
    package init(dictionaryLiteral elements: (NodeID, Node)...) {
        self.init()
        for (id, node) in elements { self[id] = node }
    }
}

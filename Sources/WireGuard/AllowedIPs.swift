package import NetTypes

/// Which peer an address belongs to: the longest prefix wins, and every prefix has one owner.
///
/// A path-compressed binary trie per family in one array; a look-up allocates nothing.
package struct AllowedIPs: Sendable {
    private struct Node {
        // IPv4 keys lie in the top 32 bits.
        var high: UInt64
        var low: UInt64
        var length: Int32
        var owner: PeerIndex?
        var children: (Int32, Int32) = (-1, -1)

        subscript(side: Int) -> Int32 {
            get { side == 0 ? children.0 : children.1 }
            set { if side == 0 { children.0 = newValue } else { children.1 = newValue } }
        }
    }

    private var nodes: [Node] = []
    private var free: [Int32] = []
    private var ipv4Root: Int32 = -1
    private var ipv6Root: Int32 = -1
    /// How many prefixes there are.
    package private(set) var count = 0

    /// An empty table.
    package init() {}

    /// The owner of the longest prefix that contains `address`.
    package func owner(of address: IPAddress) -> PeerIndex? { match(address)?.owner }

    /// The length of the longest prefix that contains `address`.
    package func matchedLength(of address: IPAddress) -> Int? { match(address).map { Int($0.length) } }

    private func match(_ address: IPAddress) -> (owner: PeerIndex, length: Int32)? {
        let (high, low) = Self.key(address)
        var place = address.isIPv4 ? ipv4Root : ipv6Root
        var best: (owner: PeerIndex, length: Int32)?
        while place >= 0 {
            let node = nodes[Int(place)]
            guard Self.commonLength(high, low, node.high, node.low) >= node.length else { break }
            if let owner = node.owner { best = (owner, node.length) }
            guard node.length < address.bitWidth else { break }
            place = node[Self.bit(high, low, node.length)]
        }
        return best
    }

    /// Gives `prefix` to `owner`, whoever had it.
    package mutating func insert(_ prefix: IPPrefix, owner: PeerIndex) {
        let masked = prefix.masked
        let (high, low) = Self.key(masked.address)
        let length = Int32(masked.length)
        let isIPv4 = masked.address.isIPv4
        var parent: (place: Int32, side: Int)?
        var place = isIPv4 ? ipv4Root : ipv6Root
        while place >= 0 {
            let node = nodes[Int(place)]
            let common = min(Self.commonLength(high, low, node.high, node.low), length, node.length)
            if common == node.length {
                if node.length == length {
                    if node.owner == nil { count += 1 }
                    nodes[Int(place)].owner = owner
                    return
                }
                let side = Self.bit(high, low, node.length)
                parent = (place, side)
                place = node[side]
                continue
            }
            var added = Node(high: high, low: low, length: length, owner: owner)
            if common == length {
                // The new prefix contains the old node.
                added[Self.bit(node.high, node.low, length)] = place
                link(make(added), below: parent, isIPv4: isIPv4)
            } else {
                let (forkHigh, forkLow) = Self.mask(high, low, common)
                var fork = Node(high: forkHigh, low: forkLow, length: common, owner: nil)
                fork[Self.bit(node.high, node.low, common)] = place
                fork[Self.bit(high, low, common)] = make(added)
                link(make(fork), below: parent, isIPv4: isIPv4)
            }
            count += 1
            return
        }
        link(make(Node(high: high, low: low, length: length, owner: owner)), below: parent, isIPv4: isIPv4)
        count += 1
    }

    /// Takes `prefix` away, if `owner` still has it.
    package mutating func remove(_ prefix: IPPrefix, owner: PeerIndex) {
        let masked = prefix.masked
        let (high, low) = Self.key(masked.address)
        let length = Int32(masked.length)
        let isIPv4 = masked.address.isIPv4
        var grandparent: (place: Int32, side: Int)?
        var parent: (place: Int32, side: Int)?
        var place = isIPv4 ? ipv4Root : ipv6Root
        while place >= 0 {
            let node = nodes[Int(place)]
            guard Self.commonLength(high, low, node.high, node.low) >= node.length, node.length <= length else {
                return
            }
            if node.length == length { break }
            let side = Self.bit(high, low, node.length)
            grandparent = parent
            parent = (place, side)
            place = node[side]
        }
        guard place >= 0, nodes[Int(place)].owner == owner else { return }
        nodes[Int(place)].owner = nil
        count -= 1
        unlinkIfNeedless(place, below: parent, isIPv4: isIPv4)
        if let parent { unlinkIfNeedless(parent.place, below: grandparent, isIPv4: isIPv4) }
    }

    // A node without an owner only earns its place by forking.
    private mutating func unlinkIfNeedless(_ place: Int32, below parent: (place: Int32, side: Int)?, isIPv4: Bool) {
        let node = nodes[Int(place)]
        guard node.owner == nil, node.children.0 < 0 || node.children.1 < 0 else { return }
        link(max(node.children.0, node.children.1), below: parent, isIPv4: isIPv4)
        free.append(place)
    }

    private mutating func link(_ place: Int32, below parent: (place: Int32, side: Int)?, isIPv4: Bool) {
        if let parent {
            nodes[Int(parent.place)][parent.side] = place
        } else if isIPv4 {
            ipv4Root = place
        } else {
            ipv6Root = place
        }
    }

    private mutating func make(_ node: Node) -> Int32 {
        if let place = free.popLast() {
            nodes[Int(place)] = node
            return place
        }
        nodes.append(node)
        return Int32(nodes.count - 1)
    }

    private static func key(_ address: IPAddress) -> (UInt64, UInt64) {
        switch address {
        case .v4(let address): (UInt64(address.rawValue) << 32, 0)
        case .v6(let address): (address.high, address.low)
        }
    }

    private static func commonLength(_ high: UInt64, _ low: UInt64, _ otherHigh: UInt64, _ otherLow: UInt64) -> Int32 {
        let difference = high ^ otherHigh
        return Int32(difference != 0 ? difference.leadingZeroBitCount : 64 + (low ^ otherLow).leadingZeroBitCount)
    }

    private static func bit(_ high: UInt64, _ low: UInt64, _ place: Int32) -> Int {
        Int(truncatingIfNeeded: (place < 64 ? high >> UInt64(63 - place) : low >> UInt64(127 - place)) & 1)
    }

    private static func mask(_ high: UInt64, _ low: UInt64, _ length: Int32) -> (UInt64, UInt64) {
        // A smart shift by 64 gives zero, which is what a length of 0 or 64 needs.
        length <= 64
            ? (high & (UInt64.max << UInt64(64 - length)), 0)
            : (high, low & (UInt64.max << UInt64(128 - length)))
    }
}

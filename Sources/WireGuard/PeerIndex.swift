/// Names a peer of one device; the name of a removed peer is never given to another.
package struct PeerIndex: Hashable, Sendable {
    /// The place in the table of peers.
    let slot: Int32
    /// How often that place was given away before.
    let generation: UInt32

    /// The place in the table of peers: a small number that is given again once the peer is removed.
    package var place: Int { Int(slot) }
}

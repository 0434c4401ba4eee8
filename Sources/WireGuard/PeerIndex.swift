/// Names a peer of one device; the name of a removed peer is never given to another.
package struct PeerIndex: Hashable, Sendable {
    let slot: Int32
    let generation: UInt32
}

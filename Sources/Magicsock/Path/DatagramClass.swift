import NetTypes

/// What a datagram that came in by UDP carries, told from its first octets.
package enum DatagramClass: Hashable, Sendable {
    /// A STUN message.
    case stun
    /// A disco envelope.
    case disco
    /// Everything else, and so also what only WireGuard's own checks will refuse.
    case wireGuard
    /// A disco envelope behind the eight octets of a Geneve header.
    case relayedDisco
    /// A WireGuard message behind the eight octets of a Geneve header.
    case relayedWireGuard

    /// The length of the Geneve header of relayed datagrams.
    package static let geneveByteCount = 8

    /// Classifies one datagram; constant time, no allocation.
    package init(_ datagram: Span<UInt8>) {
        let count = datagram.count
        if count >= 20, datagram[0] & 0xC0 == 0, datagram[1] == 0x01,
            datagram.bigEndian(at: 4, as: UInt32.self) == 0x2112_A442
        {
            self = .stun
            return
        }
        if count >= Self.geneveByteCount, datagram[0] & 0xC0 == 0, datagram[1] & 0x3F == 0, datagram[7] == 0 {
            let geneveProtocol: UInt16 = datagram.bigEndian(at: 2)
            if geneveProtocol == 0x7A11, Self.isDisco(datagram, at: Self.geneveByteCount) {
                self = .relayedDisco
                return
            }
            if geneveProtocol == 0x7A12 {
                self = .relayedWireGuard
                return
            }
        }
        self = Self.isDisco(datagram, at: 0) ? .disco : .wireGuard
    }

    private static func isDisco(_ datagram: Span<UInt8>, at offset: Int) -> Bool {
        datagram.count - offset >= 38 && datagram.bigEndian(at: offset, as: UInt32.self) == 0x5453_F09F
            && datagram.bigEndian(at: offset &+ 4, as: UInt16.self) == 0x92AC
    }
}

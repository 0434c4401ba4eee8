import NIOCore
import NetTypes

extension MagicSocket {
    /// Whether anything depends on where a transport message came from.
    var needsOrigin: Bool { switches.silentDisco || hasPlainPeers }

    /// Takes the endpoints of a peer that speaks WireGuard alone.
    func setPlain(_ peer: MagicPeer, _ endpoints: [AddressPort]) {
        hasPlainPeers = true
        var plain = peer.plain ?? PlainPath()
        plain.setEndpoints(endpoints.filter(isPermitted))
        peer.plain = plain
        peer.directRemote = plain.current?.socketAddress
    }

    /// Sends a tunnel datagram to a peer that speaks WireGuard alone: to the proven endpoint, or a handshake to all.
    func sendPlain(_ datagram: Span<UInt8>, to peer: MagicPeer) {
        peer.sentByteCount &+= UInt64(datagram.count)
        guard datagram.count == MagicsockConstants.initiationByteCount, datagram[0] == 1 else {
            guard let remote = peer.directRemote, let current = peer.plain?.current, usesUDP else {
                drops.noPath &+= 1
                return
            }
            (current.address.isIPv4 ? udpIPv4 : udpIPv6)?.send(datagram, to: remote)
            return
        }
        for endpoint in peer.plain?.beginHandshake() ?? [] where UDPReachability.hasRoute(to: endpoint) && usesUDP {
            guard let remote = endpoint.socketAddress else { continue }
            (endpoint.address.isIPv4 ? udpIPv4 : udpIPv6)?.send(datagram, to: remote)
        }
    }
}

package import NetTypes
package import NetWire

/// What a node says by TSMP of its own accord: pongs to pings, and refusals of connections.
package struct TSMPResponder: Sendable {
    private let addresses: [IPAddress]
    private let peerAPIPort: UInt16

    /// Answers for the own addresses; the port is 0 without PeerAPI.
    package init(addresses: [IPAddress], peerAPIPort: UInt16 = 0) {
        self.addresses = addresses
        self.peerAPIPort = peerAPIPort
    }

    /// The pong packet to a parsed ping packet for one of the own addresses; nil for everything else.
    package func answer(to packet: Span<UInt8>, as parsed: ParsedPacket) -> [UInt8]? {
        guard parsed.ipProtocol == .tsmp, addresses.contains(parsed.destination) else { return nil }
        do throws(WireError) {
            guard case .ping(let token) = try TSMPMessage(parsing: packet, as: parsed) else { return nil }
            // Tailscale's client marks its answers by the inverse of what the question carried.
            let identification =
                switch parsed.source {
                case .v4: UInt32(packet.bigEndian(at: 4, as: UInt16.self))
                case .v6: packet.bigEndian(at: 0, as: UInt32.self)
                }
            return TSMPMessage.pong(token, peerAPIPort: peerAPIPort)
                .packet(from: parsed.destination, to: parsed.source, identification: ~identification)
        } catch {
            return nil
        }
    }

    /// The packet that tells a peer why the filter dropped its attempt to connect; nil where Tailscale's client is silent.
    ///
    /// Only TCP over IPv4 that carries SYN is answered, and only when rules or shields were the reason: what was not meant
    /// for us is refused in nobody's name.
    package static func rejection(of packet: ParsedPacket, reason: FilterDropReason) -> [UInt8]? {
        guard packet.version == 4, packet.ipProtocol == .tcp, packet.tcpFlags.contains(.syn) else { return nil }
        let rejectReason: TSMPRejectReason
        switch reason {
        case .noRule: rejectReason = .accessControl
        case .shieldsUp: rejectReason = .shieldsUp
        case .tooShort, .unparsable, .multicast, .linkLocal, .notLocal: return nil
        }
        let rejection = TSMPRejection(
            ipProtocol: packet.ipProtocol,
            reason: rejectReason,
            sourcePort: packet.sourcePort,
            destinationPort: packet.destinationPort
        )
        return TSMPMessage.reject(rejection).packet(from: packet.destination, to: packet.source)
    }
}

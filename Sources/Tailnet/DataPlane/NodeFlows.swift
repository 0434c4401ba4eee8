import NetTypes
import NetWire

/// One conversation that the node itself holds with somebody in the tailnet, under an address that it shares with its guest.
protocol NodeFlow: AnyObject {
    /// Takes a packet of the other side; what it wants to send it puts into the table's `outgoing`.
    func received(_ packet: Span<UInt8>, _ parsed: ParsedPacket)
    /// Learns that nobody listens there, or that the guest has taken the port: the flow is closed already.
    func refused()
}

/// The node's own flows: packets of the other side are taken out before they reach the guest.
///
/// Confined to the node's event loop. As long as there is no flow, a packet costs one comparison.
final class NodeFlows {
    /// Names a flow.
    struct Key: Hashable {
        /// UDP or TCP.
        let ipProtocol: IPProtocol
        /// The port on our side.
        let port: UInt16
        /// The other side.
        let remote: AddressPort
    }

    // Linux takes 32768…60999 for a guest's own conversations, so that these rarely meet one.
    private static let ports: ClosedRange<UInt16> = 61_000...65_535
    // Tries to find a free port; there are at most a few hundred flows.
    private static let attempts = 16

    /// Packets that wait to be sent into the tunnel.
    private(set) var outgoing: [[UInt8]] = []
    private var flows: [Key: any NodeFlow] = [:]
    private var generator = SystemRandomNumberGenerator()

    /// Whether there is no flow.
    var isEmpty: Bool { flows.isEmpty }

    /// Opens a flow to `remote` under a free port; nil when none was found.
    func open(_ flow: any NodeFlow, _ ipProtocol: IPProtocol, to remote: AddressPort) -> Key? {
        for _ in 0..<Self.attempts {
            let port = UInt16.random(in: Self.ports, using: &generator)
            let key = Key(ipProtocol: ipProtocol, port: port, remote: remote)
            guard flows[key] == nil else { continue }
            flows[key] = flow
            return key
        }
        return nil
    }

    /// Ends a flow; what still comes of it is the guest's.
    func close(_ key: Key) { flows[key] = nil }

    /// Puts a packet into the queue for the tunnel.
    func send(_ packet: [UInt8]) { outgoing.append(packet) }

    /// Hands over what is to be sent.
    func takeOutgoing() -> [[UInt8]] {
        defer { outgoing.removeAll() }
        return outgoing
    }

    /// Takes a packet from the tailnet if it belongs to a flow of the node's.
    func take(_ packet: Span<UInt8>, _ parsed: ParsedPacket) -> Bool {
        guard !flows.isEmpty else { return false }
        if parsed.isICMPError { return takeError(packet, parsed) }
        guard parsed.fragment == .whole, let flow = flows[Key(answered: parsed)] else { return false }
        flow.received(packet, parsed)
        return true
    }

    /// Lets the guest have the port that it has just begun to use towards the same remote.
    func giveWay(to parsed: ParsedPacket) {
        guard !flows.isEmpty, let flow = flows.removeValue(forKey: Key(sent: parsed)) else { return }
        flow.refused()
    }

    /// An ICMP error quotes the packet that it is about: its header and at least eight octets more.
    private func takeError(_ packet: Span<UInt8>, _ parsed: ParsedPacket) -> Bool {
        let quoted = packet.extracting((parsed.transportOffset + 8)..<parsed.byteCount)
        guard let key = Key(quoted: quoted), let flow = flows[key] else { return false }
        // "Too big" is no refusal.
        let isUnreachable = parsed.isICMPv4 ? parsed.icmpType == 3 && parsed.icmpCode != 4 : parsed.icmpType == 1
        if isUnreachable {
            flows[key] = nil
            flow.refused()
        }
        return true
    }
}

extension NodeFlows.Key {
    /// The flow that a packet from the other side belongs to.
    fileprivate init(answered parsed: ParsedPacket) {
        self.init(
            ipProtocol: parsed.ipProtocol,
            port: parsed.destinationPort,
            remote: AddressPort(parsed.source, port: parsed.sourcePort)
        )
    }

    /// The flow that a packet to the other side belongs to.
    fileprivate init(sent parsed: ParsedPacket) {
        self.init(
            ipProtocol: parsed.ipProtocol,
            port: parsed.sourcePort,
            remote: AddressPort(parsed.destination, port: parsed.destinationPort)
        )
    }

    /// The flow of a packet of which only the beginning is there.
    fileprivate init?(quoted packet: Span<UInt8>) {
        guard let first = packet.isEmpty ? nil : packet[0] else { return nil }
        let offset: Int
        let remote: IPAddress
        switch first >> 4 {
        case 4:
            offset = Int(first & 15) * 4
            guard offset >= IPv4Header.byteCount, packet.count >= offset + 4 else { return nil }
            ipProtocol = IPProtocol(rawValue: packet[9])
            remote = .v4(IPv4Address(packet, at: 16))
        case 6:
            offset = IPv6Header.byteCount
            guard packet.count >= offset + 4 else { return nil }
            ipProtocol = IPProtocol(rawValue: packet[6])
            remote = .v6(IPv6Address(packet, at: 24))
        default: return nil
        }
        port = packet.bigEndian(at: offset)
        self.remote = AddressPort(remote, port: packet.bigEndian(at: offset + 2))
    }
}

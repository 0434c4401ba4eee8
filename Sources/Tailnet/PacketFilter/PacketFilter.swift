package import NetTypes
package import NetWire

/// Decides which packets pass between the tailnet and the guest, as Tailscale's client does (wgengine/filter).
///
/// Only UDP and SCTP have state: a packet that answers one of ours passes. Packets from jailed peers go through a second
/// instance whose shields are up. TSMP is accepted here and consumed by the caller; it is nothing for the guest.
/// Confined to the node's event loop.
package final class PacketFilter {
    /// Verdicts on packets from peers.
    package private(set) var inboundCounts = FilterCounts()
    /// Verdicts on packets to peers.
    package private(set) var outboundCounts = FilterCounts()
    /// Whether the rules are ignored.
    package private(set) var isShieldsUp = false
    private var rules = PacketFilterRules.denyAll
    private var localAddresses = AddressSet([])
    private var flows: FlowTable

    /// A filter that knows neither rules nor own addresses.
    package init(seed: UInt64 = .random(in: .min ... .max)) { flows = FlowTable(seed: seed) }

    /// Puts new rules in force; conversations go on, unless the shields are being raised.
    ///
    /// - Parameters:
    ///   - rules: Who may open what.
    ///   - localAddresses: The own addresses and the approved routes: nothing else is let in.
    ///   - shieldsUp: Whether to ignore the rules and let only answers in.
    package func update(rules: PacketFilterRules, localAddresses: [IPPrefix], shieldsUp: Bool = false) {
        if shieldsUp, !isShieldsUp { flows.removeAll() }
        self.rules = shieldsUp ? .denyAll : rules
        self.localAddresses = AddressSet(localAddresses)
        isShieldsUp = shieldsUp
    }

    /// Whether the address is an own one or inside an approved route.
    package func isLocal(_ address: IPAddress) -> Bool { localAddresses.contains(address) }

    /// Decides on a decrypted packet of a peer, after the check of its source; an empty one is a keep-alive.
    package func inbound(_ packet: Span<UInt8>) -> FilterVerdict {
        let verdict =
            switch Self.parse(packet) {
            case .packet(let parsed): decideInbound(parsed)
            case .verdict(let verdict): verdict
            }
        inboundCounts.note(verdict)
        return verdict
    }

    /// Decides on a decrypted packet of a peer that has been parsed.
    package func inbound(_ packet: ParsedPacket) -> FilterVerdict {
        let verdict = decideInbound(packet)
        inboundCounts.note(verdict)
        return verdict
    }

    /// Decides on a packet to a peer, and remembers the flow so that the answer passes.
    package func outbound(_ packet: Span<UInt8>) -> FilterVerdict {
        let verdict =
            switch Self.parse(packet) {
            case .packet(let parsed): decideOutbound(parsed)
            case .verdict(let verdict): verdict
            }
        outboundCounts.note(verdict)
        return verdict
    }

    /// Decides on a parsed packet to a peer, and remembers the flow so that the answer passes.
    package func outbound(_ packet: ParsedPacket) -> FilterVerdict {
        let verdict = decideOutbound(packet)
        outboundCounts.note(verdict)
        return verdict
    }

    private enum Parse {
        case packet(ParsedPacket)
        case verdict(FilterVerdict)
    }

    private static func parse(_ packet: Span<UInt8>) -> Parse {
        guard !packet.isEmpty else { return .verdict(.accept) }
        guard packet.count >= ParsedPacket.minimumByteCount else { return .verdict(.drop(.tooShort)) }
        do throws(WireError) {
            return .packet(try ParsedPacket(parsing: packet))
        } catch {
            return .verdict(.drop(.unparsable))
        }
    }

    /// The metadata service of clouds, which exit nodes may offer.
    private static let metadataService = IPAddress.v4(IPv4Address(169, 254, 169, 254))

    /// What holds in both directions; nil = undecided.
    private func decideByDestination(_ packet: ParsedPacket) -> FilterVerdict? {
        if packet.destination.isMulticast { return .drop(.multicast) }
        if packet.destination.isLinkLocal, packet.destination != Self.metadataService { return .drop(.linkLocal) }
        // Without its first piece it is of no use, and the first piece is filtered.
        return packet.fragment == .later ? .accept : nil
    }

    private func decideInbound(_ packet: ParsedPacket) -> FilterVerdict {
        if let verdict = decideByDestination(packet) { return verdict }
        guard localAddresses.contains(packet.destination) else { return .drop(.notLocal) }
        let passes =
            switch packet.ipProtocol {
            case .icmpv4 where packet.version == 4, .icmpv6 where packet.version == 6:
                packet.isICMPReplyOrError || rules.permitsAnything(between: packet)
            // Whoever cannot open a connection gains nothing by the rest of one.
            case .tcp: !packet.isTCPSYN || rules.permits(packet)
            case .udp, .sctp: flows.refresh(FlowKey(of: packet)) || rules.permits(packet)
            case .tsmp: true
            default: rules.permitsEveryPort(packet)
            }
        return passes ? .accept : .drop(isShieldsUp ? .shieldsUp : .noRule)
    }

    private func decideOutbound(_ packet: ParsedPacket) -> FilterVerdict {
        if let verdict = decideByDestination(packet) { return verdict }
        if packet.ipProtocol == .udp || packet.ipProtocol == .sctp { flows.insert(FlowKey(answering: packet)) }
        return .accept
    }
}

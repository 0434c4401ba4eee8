package import NetTypes
package import NetWire
package import WarrenCrypto

/// Why a connection was refused; unknown reasons survive.
package struct TSMPRejectReason: RawRepresentable, Hashable, Sendable {
    /// The letter on the wire.
    package let rawValue: UInt8

    /// Takes any letter.
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `A`: the packet filter.
    package static let accessControl = TSMPRejectReason(rawValue: 0x41)
    /// `S`: the shields are up.
    package static let shieldsUp = TSMPRejectReason(rawValue: 0x53)
    /// `F`: the router does not forward.
    package static let forwardingUnavailable = TSMPRejectReason(rawValue: 0x46)
    /// `W`: the host's firewall.
    package static let hostFirewall = TSMPRejectReason(rawValue: 0x57)
    /// `T`: the app connector does not know the transit address.
    package static let unknownTransitAddress = TSMPRejectReason(rawValue: 0x54)
}

/// The refusal of a flow, sent by the one who was to receive it.
package struct TSMPRejection: Hashable, Sendable {
    /// The protocol of the refused flow.
    package var ipProtocol: IPProtocol
    /// Why.
    package var reason: TSMPRejectReason
    /// The port from which the refused flow came.
    package var sourcePort: UInt16
    /// The port it wanted.
    package var destinationPort: UInt16
    /// Whether the sender only suspects that the flow will not work.
    package var maybeBroken: Bool

    /// The refusal of a flow.
    package init(
        ipProtocol: IPProtocol,
        reason: TSMPRejectReason,
        sourcePort: UInt16,
        destinationPort: UInt16,
        maybeBroken: Bool = false
    ) {
        self.ipProtocol = ipProtocol
        self.reason = reason
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.maybeBroken = maybeBroken
    }

    /// Where the refused flow came from: the one to whom `packet`, which carries this, is addressed.
    package func flowSource(in packet: ParsedPacket) -> AddressPort {
        AddressPort(packet.destination, port: sourcePort)
    }

    /// Where the refused flow went: the one who sent `packet`, which carries this.
    package func flowDestination(in packet: ParsedPacket) -> AddressPort {
        AddressPort(packet.source, port: destinationPort)
    }
}

/// A message between tailnet nodes, the payload of IP protocol 99 (tailscale net/packet/tsmp.go).
///
/// | first octet | message | rest |
/// |---|---|---|
/// | `p` | ping | 8 opaque octets |
/// | `o` | pong | the same 8 octets, u16 PeerAPI port (0 = none; may be absent) |
/// | `!` | reject | u8 IP protocol, u8 reason, u16 source port, u16 destination port, u8 flags (may be absent) |
/// | `a` | disco key | 32 octets |
package enum TSMPMessage: Hashable, Sendable {
    /// Asks for a pong with the same token.
    case ping(UInt64)
    /// Answers a ping; the port is 0 without PeerAPI.
    case pong(UInt64, peerAPIPort: UInt16)
    /// Refuses a flow.
    case reject(TSMPRejection)
    /// Announces the sender's discovery key.
    case discoKey(DiscoPublicKey)

    private static let maybeBrokenFlag: UInt8 = 1

    /// Reads the payload; octets after the message are tolerated.
    ///
    /// - Throws: `.truncated`, `.unsupported` for another message.
    package init(parsing payload: Span<UInt8>) throws(WireError) {
        guard !payload.isEmpty else { throw .truncated }
        switch payload[0] {
        case 0x70:
            guard payload.count >= 9 else { throw .truncated }
            self = .ping(payload.bigEndian(at: 1))
        case 0x6F:
            guard payload.count >= 9 else { throw .truncated }
            self = .pong(payload.bigEndian(at: 1), peerAPIPort: payload.count >= 11 ? payload.bigEndian(at: 9) : 0)
        case 0x21:
            guard payload.count >= 7 else { throw .truncated }
            self = .reject(
                TSMPRejection(
                    ipProtocol: IPProtocol(rawValue: payload[1]),
                    reason: TSMPRejectReason(rawValue: payload[2]),
                    sourcePort: payload.bigEndian(at: 3),
                    destinationPort: payload.bigEndian(at: 5),
                    maybeBroken: payload.count >= 8 && payload[7] & Self.maybeBrokenFlag != 0
                )
            )
        case 0x61:
            guard payload.count >= 33 else { throw .truncated }
            self = .discoKey(DiscoPublicKey(payload, at: 1))
        default: throw .unsupported
        }
    }

    /// Reads the message in a packet of protocol 99.
    ///
    /// - Throws: `.truncated`, `.unsupported` for another message, another protocol or a later fragment.
    package init(parsing packet: Span<UInt8>, as parsed: ParsedPacket) throws(WireError) {
        guard parsed.ipProtocol == .tsmp, parsed.fragment == .whole else { throw .unsupported }
        try self.init(parsing: packet.extracting(parsed.transportOffset..<parsed.byteCount))
    }

    /// How many octets `store` writes.
    package var byteCount: Int {
        switch self {
        case .ping: 9
        case .pong: 11
        case .reject(let rejection): rejection.maybeBroken ? 8 : 7
        case .discoKey: 1 + DiscoPublicKey.byteCount
        }
    }

    /// Writes the payload at `offset`.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        switch self {
        case .ping(let token):
            span.store(bigEndian: UInt8(0x70), at: offset)
            span.store(bigEndian: token, at: offset + 1)
        case .pong(let token, let peerAPIPort):
            span.store(bigEndian: UInt8(0x6F), at: offset)
            span.store(bigEndian: token, at: offset + 1)
            span.store(bigEndian: peerAPIPort, at: offset + 9)
        case .reject(let rejection):
            span.store(bigEndian: UInt8(0x21), at: offset)
            span.store(bigEndian: rejection.ipProtocol.rawValue, at: offset + 1)
            span.store(bigEndian: rejection.reason.rawValue, at: offset + 2)
            span.store(bigEndian: rejection.sourcePort, at: offset + 3)
            span.store(bigEndian: rejection.destinationPort, at: offset + 5)
            if rejection.maybeBroken { span.store(bigEndian: Self.maybeBrokenFlag, at: offset + 7) }
        case .discoKey(let key):
            span.store(bigEndian: UInt8(0x61), at: offset)
            key.store(into: &span, at: offset + 1)
        }
    }

    /// The whole IP packet that carries the message; nil when the families differ.
    ///
    /// `identification` is IPv4's identification (low 16 bits) or IPv6's flow label (low 20 bits).
    package func packet(
        from source: IPAddress,
        to destination: IPAddress,
        identification: UInt32 = 0
    ) -> [UInt8]? {
        switch (source, destination) {
        case (.v4(let source), .v4(let destination)):
            let header = IPv4Header(
                ipProtocol: .tsmp,
                source: source,
                destination: destination,
                payloadByteCount: byteCount,
                identification: UInt16(truncatingIfNeeded: identification),
                dontFragment: false
            )
            return packet(headerByteCount: IPv4Header.byteCount) { header.store(into: &$0, at: 0) }
        case (.v6(let source), .v6(let destination)):
            let header = IPv6Header(
                nextHeader: .tsmp,
                source: source,
                destination: destination,
                payloadByteCount: byteCount,
                flowLabel: identification
            )
            return packet(headerByteCount: IPv6Header.byteCount) { header.store(into: &$0, at: 0) }
        default: return nil
        }
    }

    private func packet(headerByteCount: Int, storeHeader: (inout MutableRawSpan) -> Void) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: headerByteCount + byteCount)
        var elements = octets.mutableSpan
        var span = elements.mutableBytes
        storeHeader(&span)
        store(into: &span, at: headerByteCount)
        return octets
    }
}

import NIOCore
import NetTypes
import NetWire

/// Why a packet of the guest went nowhere, as its network stack will understand it.
package enum GuestICMPError: Equatable, Sendable {
    /// No peer is responsible for the destination's network.
    case networkUnreachable
    /// The peer is known but does not answer.
    case hostUnreachable
    /// A filter forbids it.
    case prohibited
    /// Nobody listens on the port.
    case portUnreachable
    /// The protocol is not spoken there.
    case protocolUnreachable
    /// The packet is larger than what may pass.
    ///
    /// Told with and without DF set: nothing is fragmented here, and guests lower their path MTU either way.
    case tooBig(mtu: Int)

    /// The error as a frame from the gateway to who sent `packet`.
    ///
    /// Nil when it must not be sent: about errors, later fragments, and packets from or to no single host (RFC 1122
    /// §3.2.2, RFC 4443 §2.4).
    func frame(for packet: Span<UInt8>, _ parsed: ParsedPacket, _ composer: FrameComposer) -> ByteBuffer? {
        guard parsed.fragment != .later, !parsed.isICMPError, !parsed.source.isUnspecified,
            !parsed.source.isMulticast, !parsed.destination.isMulticast, parsed.destination != .v4(.broadcast)
        else { return nil }
        switch parsed.source {
        case .v4(let source):
            let quoted = min(parsed.byteCount, ICMPv4Message.maximumQuotedByteCount)
            return composer.message(
                ipv4Message,
                from: TailnetAddresses.serviceIPv4,
                to: source,
                payload: packet.extracting(0..<quoted)
            )
        case .v6(let source):
            let quoted = min(parsed.byteCount, ICMPv6Message.maximumQuotedByteCount)
            return composer.message(
                ipv6Message,
                from: TailnetAddresses.serviceIPv6,
                to: source,
                payload: packet.extracting(0..<quoted)
            )
        }
    }

    private var ipv4Message: ICMPv4Message {
        switch self {
        case .networkUnreachable: unreachable(ICMPv4Message.UnreachableCode.network)
        case .hostUnreachable: unreachable(ICMPv4Message.UnreachableCode.host)
        case .prohibited: unreachable(ICMPv4Message.UnreachableCode.administrativelyProhibited)
        case .portUnreachable: unreachable(ICMPv4Message.UnreachableCode.port)
        case .protocolUnreachable: unreachable(ICMPv4Message.UnreachableCode.ipProtocol)
        case .tooBig(let mtu): .fragmentationNeeded(mtu: mtu)
        }
    }

    private func unreachable(_ code: UInt8) -> ICMPv4Message {
        ICMPv4Message(kind: .destinationUnreachable, code: code)
    }

    private var ipv6Message: ICMPv6Message {
        switch self {
        case .networkUnreachable:
            ICMPv6Message(kind: .destinationUnreachable, code: ICMPv6Message.UnreachableCode.noRoute)
        case .hostUnreachable:
            ICMPv6Message(kind: .destinationUnreachable, code: ICMPv6Message.UnreachableCode.address)
        case .prohibited:
            ICMPv6Message(
                kind: .destinationUnreachable,
                code: ICMPv6Message.UnreachableCode.administrativelyProhibited
            )
        case .portUnreachable:
            ICMPv6Message(kind: .destinationUnreachable, code: ICMPv6Message.UnreachableCode.port)
        case .protocolUnreachable:
            // RFC 4443 §3.4: the next header type was not recognized; it stands at octet 6.
            ICMPv6Message(kind: .parameterProblem, code: 1, restOfHeader: 6)
        case .tooBig(let mtu):
            ICMPv6Message(kind: .packetTooBig, restOfHeader: UInt32(clamping: mtu))
        }
    }
}

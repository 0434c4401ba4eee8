import GuestNetwork
import NetTypes
import NetWire
import Testing

extension GuestSide {
    static let ipv6 = IPv6Address(high: 0xFD7A_115C_A1E0_0000, low: 1)
    static let peerIPv6 = IPv6Address(high: 0xFD7A_115C_A1E0_0000, low: 2)
    static let linkLocal = IPv6Address(linkLocalOf: guest)
    static let router = IPv6Address(linkLocalOf: own)

    /// A frame with an IPv6 packet; groups go where groups go.
    static func frame(_ header: IPv6Header, _ payload: [UInt8]) -> [UInt8] {
        let packet = stored(40) { header.store(into: &$0, at: 0) } + payload
        let destination = header.destination.isMulticast ? MACAddress(multicast: header.destination) : own
        return frame(packet, .ipv6, to: destination)
    }

    static func message(
        _ message: ICMPv6Message,
        _ payload: [UInt8],
        from source: IPv6Address = ipv6,
        to destination: IPv6Address,
        hopLimit: UInt8 = 64
    ) -> [UInt8] {
        let header = IPv6Header(
            nextHeader: .icmpv6,
            source: source,
            destination: destination,
            payloadByteCount: 8 + payload.count,
            hopLimit: hopLimit
        )
        return frame(
            header,
            stored(8 + payload.count) { message.store(into: &$0, at: 0, payload: payload.span, in: header) }
        )
    }

    static func discovery(
        _ message: NeighborDiscoveryMessage,
        from source: IPv6Address = linkLocal,
        to destination: IPv6Address,
        hopLimit: UInt8 = 255
    ) -> [UInt8] {
        self.message(message.header, message.payload, from: source, to: destination, hopLimit: hopLimit)
    }

    static func datagramIPv6(
        from source: IPv6Address = ipv6,
        sourcePort: UInt16 = 40000,
        to destination: IPv6Address,
        port destinationPort: UInt16,
        _ payload: [UInt8]
    ) -> [UInt8] {
        var udp = UDPHeader(sourcePort: sourcePort, destinationPort: destinationPort, payloadByteCount: payload.count)
        let header = IPv6Header(
            nextHeader: .udp,
            source: source,
            destination: destination,
            payloadByteCount: 8 + payload.count
        )
        udp.seal(header.pseudoHeader(of: .udp, byteCount: 8 + payload.count), payload: payload.span)
        let sealed = udp
        return frame(header, stored(8) { sealed.store(into: &$0, at: 0) } + payload)
    }
}

/// A frame for the guest with an IPv6 packet, taken apart.
struct ReceivedIPv6 {
    let ethernet: EthernetHeader
    let header: IPv6Header
    let payload: [UInt8]

    init(_ frame: [UInt8]) throws {
        ethernet = try EthernetHeader(parsing: frame.span)
        let packet = Array(frame[14...])
        header = try IPv6Header(parsing: packet.span)
        payload = Array(packet[40...])
        #expect(ethernet.etherType == .ipv6 && ethernet.source == GuestSide.own)
        #expect(packet.count == 40 + header.payloadByteCount)
    }

    var discovery: NeighborDiscoveryMessage {
        get throws { try NeighborDiscoveryMessage(parsing: payload.span, in: header) }
    }

    var icmp: ICMPv6Message {
        get throws { try ICMPv6Message(parsing: payload.span, in: header) }
    }

    /// The payload of a datagram with a right checksum, and its ports.
    var datagram: (udp: UDPHeader, payload: [UInt8]) {
        get throws {
            let udp = try UDPHeader(parsing: payload.span)
            let isValid = udp.isChecksumValid(
                header.pseudoHeader(of: .udp, byteCount: payload.count),
                datagram: payload.span
            )
            #expect(isValid && udp.checksum != 0)
            return (udp, Array(payload[8...]))
        }
    }
}

extension GuestLink {
    /// Gives the link a frame that must be answered by IPv6.
    func answerIPv6(to frame: [UInt8]) throws -> ReceivedIPv6 {
        let (verdict, reply) = receive(frame)
        try #require(verdict == .reply)
        return try ReceivedIPv6(reply)
    }
}

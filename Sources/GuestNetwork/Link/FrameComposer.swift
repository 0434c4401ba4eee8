import NIOCore
import NetTypes
import NetWire

/// Makes the frames that the link itself sends to the guest.
struct FrameComposer {
    /// Our end of the link.
    let source: MACAddress
    /// The guest's NIC.
    let destination: MACAddress

    /// An ARP packet as a frame.
    func frame(_ packet: ARPPacket) -> ByteBuffer {
        var buffer = ByteBuffer(repeating: 0, count: EthernetHeader.byteCount + ARPPacket.byteCount)
        var span = buffer.mutableReadableBytesSpan
        EthernetHeader(destination: destination, source: source, etherType: .arp).store(into: &span, at: 0)
        packet.store(into: &span, at: EthernetHeader.byteCount)
        return buffer
    }

    /// A UDP datagram as a frame; nil when it is too long or its addresses are of two families.
    func datagram(from source: AddressPort, to target: AddressPort, payload: Span<UInt8>) -> ByteBuffer? {
        var udp = UDPHeader(sourcePort: source.port, destinationPort: target.port, payloadByteCount: payload.count)
        guard udp.totalByteCount <= Int(UInt16.max) - IPv4Header.byteCount,
            let header = IPHeader(.udp, from: source.address, to: target.address, payloadByteCount: udp.totalByteCount)
        else { return nil }
        udp.seal(header.pseudoHeader, payload: payload)
        return frame(header) { span, offset in
            udp.store(into: &span, at: offset)
            span.store(payload, at: offset + UDPHeader.byteCount)
        }
    }

    /// An ICMP message as a frame.
    func message(
        _ message: ICMPv4Message,
        from source: IPv4Address,
        to target: IPv4Address,
        payload: Span<UInt8>
    ) -> ByteBuffer {
        let header = IPv4Header(
            ipProtocol: .icmpv4,
            source: source,
            destination: target,
            payloadByteCount: ICMPv4Message.headerByteCount + payload.count
        )
        return frame(.v4(header)) { span, offset in message.store(into: &span, at: offset, payload: payload) }
    }

    /// An ICMPv6 message as a frame.
    func message(
        _ message: ICMPv6Message,
        from source: IPv6Address,
        to target: IPv6Address,
        hopLimit: UInt8 = 64,
        payload: Span<UInt8>
    ) -> ByteBuffer {
        let header = IPv6Header(
            nextHeader: .icmpv6,
            source: source,
            destination: target,
            payloadByteCount: ICMPv6Message.headerByteCount + payload.count,
            hopLimit: hopLimit
        )
        return frame(.v6(header)) { span, offset in
            message.store(into: &span, at: offset, payload: payload, in: header)
        }
    }

    /// A message of Neighbor Discovery as a frame.
    func message(
        _ message: NeighborDiscoveryMessage,
        from source: IPv6Address,
        to target: IPv6Address
    ) -> ByteBuffer {
        let payload = message.payload
        return self.message(
            message.header,
            from: source,
            to: target,
            hopLimit: NeighborDiscoveryMessage.hopLimit,
            payload: payload.span
        )
    }

    /// The reset that tells a TCP client that nobody listens (RFC 9293 §3.10.7.1); nil for a reset.
    func reset(of packet: Span<UInt8>, _ parsed: ParsedPacket) -> ByteBuffer? {
        guard let segment = try? TCPHeader(parsing: packet.extracting(parsed.transportOffset..<parsed.byteCount)),
            !segment.flags.contains(.rst),
            let header = IPHeader(
                .tcp,
                from: parsed.destination,
                to: parsed.source,
                payloadByteCount: TCPHeader.byteCount
            )
        else { return nil }
        let isAcknowledging = segment.flags.contains(.ack)
        let length = parsed.transportByteCount - segment.headerByteCount
        let spoken = UInt32(length) + (segment.flags.contains(.syn) ? 1 : 0) + (segment.flags.contains(.fin) ? 1 : 0)
        var reset = TCPHeader(
            sourcePort: segment.destinationPort,
            destinationPort: segment.sourcePort,
            sequenceNumber: isAcknowledging ? segment.acknowledgementNumber : 0,
            acknowledgementNumber: isAcknowledging ? 0 : segment.sequenceNumber &+ spoken,
            flags: isAcknowledging ? .rst : [.rst, .ack],
            window: 0
        )
        reset.seal(header.pseudoHeader, payload: [UInt8]().span)
        return frame(header) { span, offset in reset.store(into: &span, at: offset) }
    }

    private func frame(_ header: IPHeader, _ store: (inout MutableRawSpan, Int) -> Void) -> ByteBuffer {
        var buffer = ByteBuffer(repeating: 0, count: EthernetHeader.byteCount + header.totalByteCount)
        var span = buffer.mutableReadableBytesSpan
        EthernetHeader(destination: station(header), source: source, etherType: header.etherType)
            .store(into: &span, at: 0)
        store(&span, EthernetHeader.byteCount + header.store(into: &span, at: EthernetHeader.byteCount))
        return buffer
    }

    /// Which station a packet goes to: all, those of a group, or the guest.
    private func station(_ header: IPHeader) -> MACAddress {
        switch header {
        case .v4(let header): header.destination == .broadcast ? .broadcast : destination
        case .v6(let header):
            header.destination.isMulticast ? MACAddress(multicast: header.destination) : destination
        }
    }
}

/// The header of a packet of either family.
private enum IPHeader {
    case v4(IPv4Header)
    case v6(IPv6Header)

    /// A header between two addresses of one family; nil for two families.
    init?(_ ipProtocol: IPProtocol, from source: IPAddress, to target: IPAddress, payloadByteCount: Int) {
        switch (source, target) {
        case (.v4(let source), .v4(let target)):
            self = .v4(
                IPv4Header(
                    ipProtocol: ipProtocol,
                    source: source,
                    destination: target,
                    payloadByteCount: payloadByteCount
                )
            )
        case (.v6(let source), .v6(let target)):
            self = .v6(
                IPv6Header(
                    nextHeader: ipProtocol,
                    source: source,
                    destination: target,
                    payloadByteCount: payloadByteCount
                )
            )
        default: return nil
        }
    }

    var etherType: EtherType {
        switch self {
        case .v4: .ipv4
        case .v6: .ipv6
        }
    }

    var totalByteCount: Int {
        switch self {
        case .v4(let header): header.totalByteCount
        case .v6(let header): IPv6Header.byteCount + header.payloadByteCount
        }
    }

    /// The sum that the payload's checksum begins with.
    var pseudoHeader: InternetChecksum {
        switch self {
        case .v4(let header): header.pseudoHeader(payloadByteCount: header.totalByteCount - header.headerByteCount)
        case .v6(let header): header.pseudoHeader(of: header.nextHeader, byteCount: header.payloadByteCount)
        }
    }

    /// Writes the header and says how many octets it took.
    func store(into span: inout MutableRawSpan, at offset: Int) -> Int {
        switch self {
        case .v4(let header):
            header.store(into: &span, at: offset)
            return IPv4Header.byteCount
        case .v6(let header):
            header.store(into: &span, at: offset)
            return IPv6Header.byteCount
        }
    }
}

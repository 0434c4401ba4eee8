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
        header(.arp).store(into: &span, at: 0)
        packet.store(into: &span, at: EthernetHeader.byteCount)
        return buffer
    }

    /// A UDP datagram as a frame; broadcast when the address is.
    func datagram(from source: AddressPort, to target: AddressPort, payload: Span<UInt8>) -> ByteBuffer? {
        guard case (.v4(let sourceAddress), .v4(let targetAddress)) = (source.address, target.address),
            payload.count <= Int(UInt16.max) - IPv4Header.byteCount - UDPHeader.byteCount
        else { return nil }
        var udp = UDPHeader(sourcePort: source.port, destinationPort: target.port, payloadByteCount: payload.count)
        let ipv4 = IPv4Header(
            ipProtocol: .udp,
            source: sourceAddress,
            destination: targetAddress,
            payloadByteCount: udp.totalByteCount
        )
        udp.seal(ipv4.pseudoHeader(payloadByteCount: udp.totalByteCount), payload: payload)
        return frame(ipv4, isBroadcast: targetAddress == .broadcast) { span, offset in
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
        let ipv4 = IPv4Header(
            ipProtocol: .icmpv4,
            source: source,
            destination: target,
            payloadByteCount: ICMPv4Message.headerByteCount + payload.count
        )
        return frame(ipv4) { span, offset in message.store(into: &span, at: offset, payload: payload) }
    }

    /// An ICMPv6 message as a frame.
    func message(
        _ message: ICMPv6Message,
        from source: IPv6Address,
        to target: IPv6Address,
        payload: Span<UInt8>
    ) -> ByteBuffer {
        let ipv6 = IPv6Header(
            nextHeader: .icmpv6,
            source: source,
            destination: target,
            payloadByteCount: ICMPv6Message.headerByteCount + payload.count
        )
        let count = EthernetHeader.byteCount + IPv6Header.byteCount + ipv6.payloadByteCount
        var buffer = ByteBuffer(repeating: 0, count: count)
        var span = buffer.mutableReadableBytesSpan
        header(.ipv6).store(into: &span, at: 0)
        ipv6.store(into: &span, at: EthernetHeader.byteCount)
        message.store(
            into: &span,
            at: EthernetHeader.byteCount + IPv6Header.byteCount,
            payload: payload,
            in: ipv6
        )
        return buffer
    }

    /// The reset that tells a TCP client that nobody listens (RFC 9293 §3.10.7.1); nil for a reset.
    func reset(of packet: Span<UInt8>, _ parsed: ParsedPacket) -> ByteBuffer? {
        guard case (.v4(let source), .v4(let target)) = (parsed.destination, parsed.source),
            let segment = try? TCPHeader(parsing: packet.extracting(parsed.transportOffset..<parsed.byteCount)),
            !segment.flags.contains(.rst)
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
        let ipv4 = IPv4Header(
            ipProtocol: .tcp,
            source: source,
            destination: target,
            payloadByteCount: TCPHeader.byteCount
        )
        reset.seal(ipv4.pseudoHeader(payloadByteCount: TCPHeader.byteCount), payload: [UInt8]().span)
        return frame(ipv4) { span, offset in reset.store(into: &span, at: offset) }
    }

    private func header(_ etherType: EtherType, isBroadcast: Bool = false) -> EthernetHeader {
        EthernetHeader(destination: isBroadcast ? .broadcast : destination, source: source, etherType: etherType)
    }

    private func frame(
        _ ipv4: IPv4Header,
        isBroadcast: Bool = false,
        _ store: (inout MutableRawSpan, Int) -> Void
    ) -> ByteBuffer {
        var buffer = ByteBuffer(repeating: 0, count: EthernetHeader.byteCount + ipv4.totalByteCount)
        var span = buffer.mutableReadableBytesSpan
        header(.ipv4, isBroadcast: isBroadcast).store(into: &span, at: 0)
        ipv4.store(into: &span, at: EthernetHeader.byteCount)
        store(&span, EthernetHeader.byteCount + IPv4Header.byteCount)
        return buffer
    }
}

package import NIOCore
package import NetTypes
import NetWire

/// The Ethernet segment of one guest: frames in, IP packets out, and everything that ends on the link answered on the spot.
///
/// On the node's event loop. Nothing is allocated for a packet that is forwarded or delivered.
package final class GuestLink {
    /// What has passed so far.
    package private(set) var counters = GuestLinkCounters()
    /// What the guest's NIC is given; nil while the node has no place in a tailnet.
    package private(set) var addressing: GuestAddressing?
    /// The NIC's address: QEMU's, or what the guest made of it.
    package private(set) var guestHardwareAddress: MACAddress

    private let hardwareAddress: MACAddress
    private let unixTime: () -> UInt32
    private let arp: ARPResponder
    private var dhcp: DHCPServer?
    private var resolver = MagicDNSResponder()

    /// A link that serves nothing yet; `unixTime` is asked for when the resolver tells a zone's serial number.
    package init(
        hardwareAddress: MACAddress = GuestNetworkDefaults.ownHardwareAddress,
        guestHardwareAddress: MACAddress = GuestNetworkDefaults.guestHardwareAddress,
        unixTime: @escaping () -> UInt32
    ) {
        self.hardwareAddress = hardwareAddress
        self.guestHardwareAddress = guestHardwareAddress
        self.unixTime = unixTime
        arp = ARPResponder(hardwareAddress: hardwareAddress)
    }

    /// Gives the guest its addresses and name, or with nil takes them away: then nothing passes.
    package func configure(_ addressing: GuestAddressing?) {
        self.addressing = addressing
        dhcp = addressing.flatMap(DHCPServer.init)
    }

    /// Tells the resolver what it knows from now on.
    package func setZone(_ zone: DNSZone) {
        resolver.zone = zone
    }

    /// Deals with a frame from the guest; the verdict says what the buffer holds afterwards.
    package func receive(frame: inout ByteBuffer) -> GuestLinkVerdict {
        counters.framesIn &+= 1
        counters.octetsIn &+= UInt64(frame.readableBytes)
        let verdict = decide(&frame)
        switch verdict {
        case .forward: counters.forwarded &+= 1
        case .reply: countOut(frame.readableBytes)
        case .drop(let reason): counters.count(reason)
        case .resolve, .consumed: break
        }
        return verdict
    }

    /// Puts a packet for the guest into `batch`; a packet that does not go there is counted under the reason returned.
    @discardableResult
    package func send(packet: Span<UInt8>, into batch: inout NICFrameBatch) -> GuestDropReason? {
        var reason: GuestDropReason?
        if addressing == nil {
            reason = .linkDown
        } else if packet.isEmpty
            || packet.count > GuestNetworkConstants.maximumFrameByteCount - EthernetHeader.byteCount
        {
            reason = .malformedPacket
        } else {
            let header = EthernetHeader(
                destination: guestHardwareAddress,
                source: hardwareAddress,
                etherType: packet[0] >> 4 == 6 ? .ipv6 : .ipv4
            )
            if batch.append(packet: packet, behind: header) {
                countOut(EthernetHeader.byteCount + packet.count)
            } else {
                reason = .guestBusy
            }
        }
        if let reason { counters.count(reason) }
        return reason
    }

    /// The frame that tells the guest why a packet of its own went nowhere; nil when none may be told.
    package func error(_ kind: GuestICMPError, for packet: Span<UInt8>) -> ByteBuffer? {
        guard let parsed = try? ParsedPacket(parsing: packet),
            let frame = kind.frame(for: packet, parsed, composer)
        else { return nil }
        countOut(frame.readableBytes)
        return frame
    }

    /// The frame that answers a query of a `resolve` verdict with the message of a resolver, or with SERVFAIL for nil.
    package func response(to query: DNSQuery, message: [UInt8]?) -> ByteBuffer? {
        guard let message = message ?? MagicDNSResponder.serverFailure(query.message.span),
            let frame = composer.datagram(from: Self.resolverAddress, to: query.client, payload: message.span)
        else { return nil }
        countOut(frame.readableBytes)
        return frame
    }

    private static let resolverAddress = AddressPort(
        .v4(TailnetAddresses.serviceIPv4),
        port: GuestNetworkConstants.dnsPort
    )

    private var composer: FrameComposer {
        FrameComposer(source: hardwareAddress, destination: guestHardwareAddress)
    }

    private func countOut(_ byteCount: Int) {
        counters.framesOut &+= 1
        counters.octetsOut &+= UInt64(byteCount)
    }

    private func decide(_ frame: inout ByteBuffer) -> GuestLinkVerdict {
        let header: EthernetHeader
        do throws(WireError) {
            header = try EthernetHeader(parsing: frame.readableBytesUInt8Span)
        } catch {
            return .drop(.runtFrame)
        }
        guard !header.source.isMulticast, header.source != hardwareAddress else { return .drop(.badHardwareAddress) }
        guard header.destination == hardwareAddress || header.destination.isMulticast else {
            return .drop(.otherStation)
        }
        guestHardwareAddress = header.source
        switch header.etherType {
        case .ipv4, .ipv6:
            frame.moveReaderIndex(forwardBy: EthernetHeader.byteCount)
            return decidePacket(&frame, header)
        case .arp:
            frame.moveReaderIndex(forwardBy: EthernetHeader.byteCount)
            return decideARP(&frame)
        case .vlan: return .drop(.taggedFrame)
        default: return .drop(.unknownEtherType)
        }
    }

    private func decideARP(_ frame: inout ByteBuffer) -> GuestLinkVerdict {
        guard let addressing else { return .drop(.linkDown) }
        let packet: ARPPacket
        do throws(WireError) {
            packet = try ARPPacket(parsing: frame.readableBytesUInt8Span)
        } catch {
            return .drop(.malformedARP)
        }
        switch arp.answer(packet, addressing: addressing) {
        case .reply(let reply):
            frame = composer.frame(reply)
            return .reply
        case .ignore: return .consumed
        case .drop(let reason): return .drop(reason)
        }
    }

    private func decidePacket(_ frame: inout ByteBuffer, _ header: EthernetHeader) -> GuestLinkVerdict {
        let parsed: ParsedPacket
        do throws(WireError) {
            parsed = try ParsedPacket(parsing: frame.readableBytesUInt8Span)
        } catch {
            return .drop(.malformedPacket)
        }
        guard parsed.source.isIPv4 == (header.etherType == .ipv4) else { return .drop(.malformedPacket) }
        // Ethernet pads short packets.
        frame.moveWriterIndex(to: frame.readerIndex + parsed.byteCount)
        guard let addressing else { return .drop(.linkDown) }
        if isDHCP(parsed) { return answerDHCP(&frame, parsed) }
        // A frame for everyone carries a packet for everyone, also when its address does not show it, as that of
        // a directed broadcast.
        if header.destination.isMulticast || parsed.destination.isMulticast || parsed.destination == .v4(.broadcast) {
            return .drop(.multicast)
        }
        if parsed.source.isLinkLocal || parsed.destination.isLinkLocal { return .drop(.linkLocal) }
        guard addressing.permitsSource(parsed.source) else { return .drop(.spoofedSource) }
        if parsed.destination == .v4(TailnetAddresses.serviceIPv4) { return answerService(&frame, parsed) }
        if parsed.destination == .v6(TailnetAddresses.serviceIPv6) { return .drop(.uselessToService) }
        if addressing.isOwn(parsed.destination) { return .drop(.ownDestination) }
        if parsed.ipProtocol == .tsmp { return .drop(.reservedProtocol) }
        if parsed.byteCount > addressing.mtu {
            guard
                let error = GuestICMPError.tooBig(mtu: addressing.mtu)
                    .frame(for: frame.readableBytesUInt8Span, parsed, composer)
            else { return .drop(.tooBig) }
            frame = error
            return .reply
        }
        return .forward(parsed)
    }

    private func isDHCP(_ parsed: ParsedPacket) -> Bool {
        guard parsed.ipProtocol == .udp, parsed.destinationPort == DHCPv4Message.serverPort, parsed.fragment == .whole
        else { return false }
        return parsed.destination == .v4(.broadcast) || parsed.destination == .v4(TailnetAddresses.serviceIPv4)
    }

    private func answerDHCP(_ frame: inout ByteBuffer, _ parsed: ParsedPacket) -> GuestLinkVerdict {
        guard let dhcp, let range = datagramRange(frame.readableBytesUInt8Span, parsed) else {
            return .drop(.uselessDHCP)
        }
        let message: DHCPv4Message
        do throws(WireError) {
            message = try DHCPv4Message(parsing: frame.readableBytesUInt8Span.extracting(range))
        } catch {
            return .drop(.uselessDHCP)
        }
        guard !message.isFromServer, message.type != nil else { return .drop(.uselessDHCP) }
        guard let answer = dhcp.answer(message) else { return .consumed }
        let payload = answer.message.bytes
        let reply = composer.datagram(
            from: AddressPort(.v4(TailnetAddresses.serviceIPv4), port: DHCPv4Message.serverPort),
            to: AddressPort(.v4(answer.destination), port: DHCPv4Message.clientPort),
            payload: payload.span
        )
        guard let reply else { return .drop(.uselessDHCP) }
        frame = reply
        return .reply
    }

    private func answerService(_ frame: inout ByteBuffer, _ parsed: ParsedPacket) -> GuestLinkVerdict {
        guard parsed.fragment == .whole else { return .drop(.uselessToService) }
        let reply: ByteBuffer?
        switch parsed.ipProtocol {
        case .udp where parsed.destinationPort == GuestNetworkConstants.dnsPort:
            return answerDNS(&frame, parsed)
        case .udp:
            reply = GuestICMPError.portUnreachable.frame(for: frame.readableBytesUInt8Span, parsed, composer)
        case .tcp:
            reply = composer.reset(of: frame.readableBytesUInt8Span, parsed)
        case .icmpv4:
            reply = echoReply(frame.readableBytesUInt8Span, parsed)
        default:
            reply = GuestICMPError.protocolUnreachable.frame(for: frame.readableBytesUInt8Span, parsed, composer)
        }
        guard let reply else { return .drop(.uselessToService) }
        frame = reply
        return .reply
    }

    private func answerDNS(_ frame: inout ByteBuffer, _ parsed: ParsedPacket) -> GuestLinkVerdict {
        guard let range = datagramRange(frame.readableBytesUInt8Span, parsed) else { return .drop(.uselessToService) }
        let client = AddressPort(parsed.source, port: parsed.sourcePort)
        let verdict = resolver.answer(frame.readableBytesUInt8Span.extracting(range), unixTime: unixTime)
        switch verdict {
        case .reply(let message):
            guard let reply = composer.datagram(from: Self.resolverAddress, to: client, payload: message.span) else {
                return .drop(.uselessToService)
            }
            frame = reply
            return .reply
        case .resolve(let name, let upstreams):
            let message = frame.readableBytesUInt8Span.extracting(range).array
            return .resolve(DNSQuery(client: client, message: message, name: name, upstreams: upstreams))
        }
    }

    private func echoReply(_ packet: Span<UInt8>, _ parsed: ParsedPacket) -> ByteBuffer? {
        guard parsed.isEchoRequest, case .v4(let source) = parsed.source else { return nil }
        let message = packet.extracting(parsed.transportOffset..<parsed.byteCount)
        guard let request = try? ICMPv4Message(parsing: message) else { return nil }
        return composer.message(
            ICMPv4Message(kind: .echoReply, restOfHeader: request.restOfHeader),
            from: TailnetAddresses.serviceIPv4,
            to: source,
            payload: message.extracting(ICMPv4Message.headerByteCount..<message.count)
        )
    }

    /// Where the payload of a whole UDP datagram with a right checksum lies.
    private func datagramRange(_ packet: Span<UInt8>, _ parsed: ParsedPacket) -> Range<Int>? {
        let transport = packet.extracting(parsed.transportOffset..<parsed.byteCount)
        guard let ipv4 = try? IPv4Header(parsing: packet), let udp = try? UDPHeader(parsing: transport),
            udp.isChecksumValid(
                ipv4.pseudoHeader(payloadByteCount: udp.totalByteCount),
                datagram: transport.extracting(0..<udp.totalByteCount)
            )
        else { return nil }
        let start = parsed.transportOffset + UDPHeader.byteCount
        return start..<(parsed.transportOffset + udp.totalByteCount)
    }
}

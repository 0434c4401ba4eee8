import NIOCore
import NetTypes
import NetWire

// What the link answers in the node's own name: DHCP, the resolver, and whatever else is sent to its addresses.
extension GuestLink {
    func isDHCP(_ parsed: ParsedPacket) -> Bool {
        guard parsed.destinationPort == DHCPv4Message.serverPort, parsed.fragment == .whole else { return false }
        return parsed.destination == .v4(.broadcast) || parsed.destination == .v4(TailnetAddresses.serviceIPv4)
    }

    func isDHCPv6(_ parsed: ParsedPacket) -> Bool {
        guard parsed.destinationPort == DHCPv6Message.serverPort, parsed.fragment == .whole else { return false }
        return parsed.destination == .v6(DHCPv6Message.allServers) || parsed.destination == .v6(linkLocal)
    }

    func answerDHCP(_ frame: inout ByteBuffer, _ parsed: ParsedPacket) -> GuestLinkVerdict {
        guard let dhcp, parsed.byteCount <= GuestNetworkConstants.maximumControlByteCount,
            let range = UDPPacket.payloadRange(of: frame.readableBytesUInt8Span, parsed)
        else { return .drop(.uselessDHCP) }
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

    func answerDHCPv6(_ frame: inout ByteBuffer, _ parsed: ParsedPacket) -> GuestLinkVerdict {
        guard let dhcpv6, parsed.source.isLinkLocal, parsed.byteCount <= GuestNetworkConstants.maximumControlByteCount,
            let range = UDPPacket.payloadRange(of: frame.readableBytesUInt8Span, parsed)
        else { return .drop(.uselessDHCP) }
        let message: DHCPv6Message
        do throws(WireError) {
            message = try DHCPv6Message(parsing: frame.readableBytesUInt8Span.extracting(range))
        } catch {
            return .drop(.uselessDHCP)
        }
        guard let answer = dhcpv6.answer(message, toAll: parsed.destination.isMulticast) else { return .consumed }
        let payload = answer.bytes
        let reply = composer.datagram(
            from: AddressPort(.v6(linkLocal), port: DHCPv6Message.serverPort),
            to: AddressPort(parsed.source, port: DHCPv6Message.clientPort),
            payload: payload.span
        )
        guard let reply else { return .drop(.uselessDHCP) }
        frame = reply
        return .reply
    }

    func answerService(_ frame: inout ByteBuffer, _ parsed: ParsedPacket) -> GuestLinkVerdict {
        guard parsed.fragment == .whole else { return .drop(.uselessToService) }
        let reply: ByteBuffer?
        switch parsed.ipProtocol {
        case .udp where parsed.destinationPort == GuestNetworkConstants.dnsPort:
            return answerDNS(&frame, parsed)
        case .udp:
            reply = GuestICMPError.portUnreachable.frame(for: frame.readableBytesUInt8Span, parsed, composer)
        case .tcp where parsed.destinationPort == GuestNetworkConstants.dnsPort:
            return takeDNSSegment(frame, parsed)
        case .tcp:
            reply = composer.reset(of: frame.readableBytesUInt8Span, parsed)
        case .icmpv4 where parsed.version == 4, .icmpv6 where parsed.version == 6:
            reply = echoReply(frame.readableBytesUInt8Span, parsed)
        default:
            reply = GuestICMPError.protocolUnreachable.frame(for: frame.readableBytesUInt8Span, parsed, composer)
        }
        guard let reply else { return .drop(.uselessToService) }
        frame = reply
        return .reply
    }

    private func echoReply(_ packet: Span<UInt8>, _ parsed: ParsedPacket) -> ByteBuffer? {
        guard parsed.isEchoRequest else { return nil }
        let message = packet.extracting(parsed.transportOffset..<parsed.byteCount)
        switch (parsed.source, parsed.destination) {
        case (.v4(let source), .v4(let destination)):
            // A wrong checksum: there is nothing to say.
            guard let request = try? ICMPv4Message(parsing: message) else { return nil }
            return composer.message(
                ICMPv4Message(kind: .echoReply, restOfHeader: request.restOfHeader),
                from: destination,
                to: source,
                payload: message.extracting(ICMPv4Message.headerByteCount..<message.count)
            )
        case (.v6(let source), .v6(let destination)):
            guard let header = try? IPv6Header(parsing: packet),
                let request = try? ICMPv6Message(parsing: message, in: header)
            else { return nil }
            return composer.message(
                ICMPv6Message(kind: .echoReply, restOfHeader: request.restOfHeader),
                from: destination,
                to: source,
                payload: message.extracting(ICMPv6Message.headerByteCount..<message.count)
            )
        default: return nil
        }
    }
}

import NIOCore
import NetTypes
import NetWire

extension GuestLink {
    /// Answers a query that came as a datagram, or says who must be asked.
    func answerDNS(_ frame: inout ByteBuffer, _ parsed: ParsedPacket) -> GuestLinkVerdict {
        guard let range = UDPPacket.payloadRange(of: frame.readableBytesUInt8Span, parsed) else {
            return .drop(.uselessToService)
        }
        let client = AddressPort(parsed.source, port: parsed.sourcePort)
        switch resolver.answer(frame.readableBytesUInt8Span.extracting(range), unixTime: unixTime) {
        case .reply(let message):
            let service = AddressPort(parsed.destination, port: GuestNetworkConstants.dnsPort)
            guard let reply = composer.datagram(from: service, to: client, payload: message.span) else {
                return .drop(.uselessToService)
            }
            frame = reply
            return .reply
        case .resolve(let name, let upstreams):
            let query = DNSQuery(
                client: .datagram(client, to: parsed.destination),
                message: frame.readableBytesUInt8Span.extracting(range).array,
                name: name,
                upstreams: upstreams
            )
            return .resolve(query)
        }
    }

    /// Puts the answer to a query of a `resolve` verdict into `batch`, in fragments when it is larger than the link takes.
    package func respond(to query: DNSQuery, message: [UInt8], into batch: inout NICFrameBatch) {
        guard let addressing, case .datagram(let client, let service) = query.client,
            let packet = UDPPacket.bytes(
                from: AddressPort(service, port: GuestNetworkConstants.dnsPort),
                to: client,
                payload: message.span
            )
        else { return }
        fragmentIdentification &+= 1
        let fragments = PacketFragments.of(packet, mtu: addressing.mtu, identification: fragmentIdentification)
        for fragment in fragments { send(packet: fragment.span, into: &batch) }
    }
}

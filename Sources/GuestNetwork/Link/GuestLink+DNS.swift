import NIOCore
package import NetTypes
package import NetWire

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

    /// Takes a segment for the resolver's TCP port.
    func takeDNSSegment(_ frame: ByteBuffer, _ parsed: ParsedPacket) -> GuestLinkVerdict {
        let (resolver, unixTime) = (resolver, unixTime)
        let queries = dnsStreams.receive(frame.readableBytesUInt8Span, parsed, now: now()) {
            resolver.answer($0, unixTime: unixTime)
        }
        return .stream(queries)
    }

    /// Puts the answer to a query of a `resolve` or `stream` verdict into `batch`, in fragments when it is larger than the
    /// link takes; what is returned are queries that waited for their turn.
    package func respond(to query: DNSQuery, message: [UInt8], into batch: inout NICFrameBatch) -> [DNSQuery] {
        switch query.client {
        case .datagram(let client, let service):
            guard let addressing,
                let packet = UDPPacket.bytes(
                    from: AddressPort(service, port: GuestNetworkConstants.dnsPort),
                    to: client,
                    payload: message.span
                )
            else { return [] }
            fragmentIdentification &+= 1
            let fragments = PacketFragments.of(packet, mtu: addressing.mtu, identification: fragmentIdentification)
            for fragment in fragments { send(packet: fragment.span, into: &batch) }
            return []
        case .stream(let id):
            let (resolver, unixTime) = (resolver, unixTime)
            let queries = dnsStreams.respond(to: id, message: message, now: now()) {
                resolver.answer($0, unixTime: unixTime)
            }
            sendStreams(into: &batch)
            return queries
        }
    }

    /// The resolvers by suffix; those for everything else stand under the root.
    package var upstreams: [DNSName: [DNSUpstream]] { resolver.zone.routes }

    /// Puts what the resolver's TCP connections have to say into `batch`.
    package func sendStreams(into batch: inout NICFrameBatch) {
        for packet in dnsStreams.takeOutgoing() { send(packet: packet.span, into: &batch) }
    }

    /// When `tickStreams` is due.
    package var nextStreamDeadline: MonotonicTime? { dnsStreams.nextDeadline }

    /// Does what is due for the resolver's TCP connections.
    package func tickStreams(into batch: inout NICFrameBatch) {
        dnsStreams.tick(now: now())
        sendStreams(into: &batch)
    }
}

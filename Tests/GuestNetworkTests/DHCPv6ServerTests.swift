import GuestNetwork
import NetTypes
import NetWire
import Testing

@Suite("DHCPv6Server (RFC 8415)")
struct DHCPv6ServerTests {
    private let client: [UInt8] = [0, 3, 0, 1, 0x52, 0x54, 0, 0x57, 0x52, 0x4E]
    private let server: [UInt8] = [0, 3, 0, 1, 0x02, 0x57, 0x52, 0, 0, 1]

    private func frame(
        _ kind: DHCPv6Message.Kind,
        _ options: [DHCPv6Option],
        to destination: IPv6Address = DHCPv6Message.allServers
    ) -> [UInt8] {
        let message = DHCPv6Message(kind, transactionID: 0xCAFE, options: options)
        return GuestSide.datagramIPv6(
            from: GuestSide.linkLocal,
            sourcePort: 546,
            to: destination,
            port: 547,
            message.bytes
        )
    }

    private func answer(_ link: GuestLink, to frame: [UInt8]) throws -> DHCPv6Message {
        let received = try link.answerIPv6(to: frame)
        #expect(received.header.source == GuestSide.router && received.header.destination == GuestSide.linkLocal)
        let (udp, payload) = try received.datagram
        #expect(udp.sourcePort == 547 && udp.destinationPort == 546 && received.payload.count <= 1240)
        let message = try DHCPv6Message(parsing: payload.span)
        #expect(message.transactionID == 0xCAFE && message.serverIdentifier == server)
        return message
    }

    private func associations(_ message: DHCPv6Message) -> [DHCPv6Association] {
        message.options.compactMap { option in
            if case .nonTemporaryAddresses(let association) = option { association } else { nil }
        }
    }

    private func wanted(_ identifier: UInt32 = 7, _ address: IPv6Address? = nil) -> DHCPv6Option {
        let options = address.map { DHCPv6Address(address: $0, preferredSeconds: 1, validSeconds: 1) }
        return .nonTemporaryAddresses(
            DHCPv6Association(identifier: identifier, options: options.map { [.address($0)] } ?? [])
        )
    }

    @Test func `solicit, advertise, request, reply`() throws {
        let link = GuestSide.link()
        let offer = try answer(link, to: frame(.solicit, [.clientIdentifier(client), wanted(), .elapsedTime(0)]))
        #expect(offer.kind == .advertise && offer.clientIdentifier == client)
        #expect(offer.options.contains(.preference(255)))
        let request = frame(
            .request,
            [.clientIdentifier(client), .serverIdentifier(server), wanted(7, GuestSide.ipv6)]
        )
        let reply = try answer(link, to: request)
        #expect(reply.kind == .reply && !reply.options.contains { $0.code == 7 })
        for message in [offer, reply] {
            let association = try #require(associations(message).first)
            #expect(association.identifier == 7 && association.addresses.map(\.address) == [GuestSide.ipv6])
            let address = try #require(association.addresses.first)
            #expect(association.renewalSeconds < association.rebindingSeconds)
            #expect(association.rebindingSeconds < address.preferredSeconds)
            #expect(address.preferredSeconds <= address.validSeconds)
            #expect(message.options.contains(.nameServers([TailnetAddresses.serviceIPv6])))
            #expect(message.options.contains(.domainSearch(GuestSide.addressing.searchDomains)))
        }
    }

    @Test func `two messages are enough for a client in a hurry, and it learns its name`() throws {
        let label = try #require(DNSName("old")), name = try #require(DNSName("web.tail1.ts.net"))
        let reply = try answer(
            GuestSide.link(),
            to: frame(
                .solicit,
                [
                    .clientIdentifier(client), .rapidCommit, wanted(),
                    .clientFQDN(DHCPv6ClientName(flags: 1, name: label, isComplete: false)),
                ]
            )
        )
        #expect(reply.kind == .reply && reply.options.contains(.rapidCommit))
        #expect(associations(reply).first?.addresses.first?.address == GuestSide.ipv6)
        #expect(reply.options.contains(.clientFQDN(DHCPv6ClientName(flags: 4, name: name))))
    }

    @Test func `renewing and rebinding clients keep the address, and lose another`() throws {
        let link = GuestSide.link()
        let stale = try #require(IPv6Address("fd7a:115c:a1e0::77"))
        for (kind, identifiers) in [
            (DHCPv6Message.Kind.renew, [DHCPv6Option.clientIdentifier(client), .serverIdentifier(server)]),
            (.rebind, [.clientIdentifier(client)]),
        ] {
            let kept = try answer(link, to: frame(kind, identifiers + [wanted(7, GuestSide.ipv6)]))
            #expect(associations(kept).first?.addresses.map(\.address) == [GuestSide.ipv6])
            let moved = try answer(link, to: frame(kind, identifiers + [wanted(7, stale)]))
            let addresses = try #require(associations(moved).first).addresses
            #expect(addresses.map(\.address) == [stale, GuestSide.ipv6])
            #expect(addresses.map { $0.validSeconds > 0 } == [false, true])
        }
    }

    @Test func `a client that was elsewhere learns whether its address holds`() throws {
        let link = GuestSide.link()
        func status(_ address: IPv6Address) throws -> [DHCPv6Option] {
            try answer(link, to: frame(.confirm, [.clientIdentifier(client), wanted(7, address)])).options
        }
        #expect(try status(GuestSide.ipv6).contains(.statusCode(.success, message: "")))
        #expect(
            try status(GuestSide.peerIPv6).contains(.statusCode(.notOnLink, message: "the node has another address"))
        )
        #expect(link.receive(frame(.confirm, [.clientIdentifier(client), wanted()])).verdict == .consumed)
    }

    @Test func `a client that only wants to know gets no address`() throws {
        let reply = try answer(GuestSide.link(), to: frame(.informationRequest, [.optionRequest([23, 24])]))
        #expect(reply.kind == .reply && associations(reply).isEmpty && reply.clientIdentifier == nil)
        #expect(reply.options.contains(.nameServers([TailnetAddresses.serviceIPv6])))
    }

    @Test func `released and declined addresses are agreed to, and given again`() throws {
        let link = GuestSide.link()
        for kind in [DHCPv6Message.Kind.release, .decline] {
            let reply = try answer(
                link,
                to: frame(kind, [.clientIdentifier(client), .serverIdentifier(server), wanted(7, GuestSide.ipv6)])
            )
            #expect(reply.kind == .reply && reply.options.contains(.statusCode(.success, message: "")))
        }
        let offer = try answer(link, to: frame(.solicit, [.clientIdentifier(client), wanted()]))
        #expect(associations(offer).first?.status == .success)
    }

    @Test func `there is one address and no prefix`() throws {
        let prefixes = DHCPv6Option.delegatedPrefixes(DHCPv6Association(identifier: 3))
        let offer = try answer(
            GuestSide.link(),
            to: frame(.solicit, [.clientIdentifier(client), wanted(1), wanted(2), prefixes])
        )
        #expect(associations(offer).map(\.status) == [.success, .noAddresses])
        for case .delegatedPrefixes(let refused) in offer.options { #expect(refused.status == .noPrefixes) }
        #expect(offer.options.contains { $0.code == 25 })
    }

    @Test func `a node that has only IPv4 gives nothing, and takes back what it gave`() throws {
        let link = GuestSide.link()
        var addressing = GuestSide.addressing
        addressing.ipv6 = nil
        link.configure(addressing)
        let offer = try answer(link, to: frame(.solicit, [.clientIdentifier(client), wanted()]))
        #expect(associations(offer).first?.status == .noAddresses)
        let identifiers: [DHCPv6Option] = [.clientIdentifier(client), .serverIdentifier(server)]
        let renewed = try answer(link, to: frame(.renew, identifiers + [wanted(7, GuestSide.ipv6)]))
        #expect(associations(renewed).first?.addresses.map(\.validSeconds) == [0])
    }

    @Test func `what another server is meant by, lacks its identifier or came from afar has no answer`() throws {
        let link = GuestSide.link()
        let own: [DHCPv6Option] = [.clientIdentifier(client), .serverIdentifier(server)]
        let silent: [[UInt8]] = [
            frame(.solicit, [wanted()]), frame(.solicit, own + [wanted()]),
            frame(.request, [.clientIdentifier(client), wanted()]),
            frame(.request, [.clientIdentifier(client), .serverIdentifier([0, 1, 2]), wanted()]),
            frame(.rebind, own + [wanted()]), frame(.informationRequest, [.serverIdentifier([0, 1, 2])]),
            frame(.informationRequest, [wanted()]), frame(.reply, own), frame(.advertise, own),
            frame(.init(rawValue: 200), own), frame(.solicit, [.clientIdentifier(client)], to: GuestSide.router),
        ]
        for frame in silent { #expect(link.receive(frame).verdict == .consumed) }
        let told = try answer(link, to: frame(.renew, own + [wanted(7, GuestSide.ipv6)], to: GuestSide.router))
        #expect(told.options.contains(.statusCode(.useMulticast, message: "use multicast")))
        let solicit = DHCPv6Message(.solicit, transactionID: 1, options: [.clientIdentifier(client), wanted()]).bytes
        let global = GuestSide.datagramIPv6(
            from: GuestSide.peerIPv6,
            to: DHCPv6Message.allServers,
            port: 547,
            solicit
        )
        #expect(link.receive(global).verdict == .drop(.uselessDHCP))
    }

    @Test func `a client with interfaces without end gets an answer of one packet`() throws {
        let many = (0..<80).map { wanted(UInt32($0)) }
        let offer = try answer(GuestSide.link(), to: frame(.solicit, [.clientIdentifier(client)] + many))
        #expect(associations(offer).count == 16)
    }

    @Test func `no truncation, mutation or garbage traps`() {
        let link = GuestSide.link()
        let message = DHCPv6Message(
            .solicit,
            transactionID: 1,
            options: [.clientIdentifier(client), .rapidCommit, wanted(7, GuestSide.ipv6), .optionRequest([23])]
        ).bytes
        var generator = SeededGenerator(seed: 3)
        func give(_ payload: [UInt8]) {
            let (verdict, _) = link.receive(
                GuestSide.datagramIPv6(
                    from: GuestSide.linkLocal,
                    to: DHCPv6Message.allServers,
                    port: 547,
                    payload
                )
            )
            let isFitting = verdict == .reply || verdict == .consumed || verdict == .drop(.uselessDHCP)
            #expect(isFitting)
        }
        for count in 0...message.count { give(Array(message[..<count])) }
        for _ in 0..<2000 {
            var mutated = message
            for _ in 0..<4 {
                mutated[Int.random(in: 0..<mutated.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            give(mutated)
            give(generator.bytes(upTo: 120))
        }
    }
}

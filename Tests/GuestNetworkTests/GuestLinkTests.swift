import GuestNetwork
import NIOCore
import NetTypes
import NetWire
import Testing

@Suite("GuestLink")
struct GuestLinkTests {
    @Test func `a packet to a peer is handed on as it is, without Ethernet's padding`() throws {
        let link = GuestSide.link()
        let packet = GuestSide.echoRequest(to: GuestSide.peer)
        let padded = GuestSide.frame(packet + [UInt8](repeating: 0, count: 15))
        let (verdict, bytes) = link.receive(padded)
        #expect(verdict == .forward(try ParsedPacket(parsing: packet.span)) && bytes == packet)
        #expect(link.counters.forwarded == 1 && link.counters.framesIn == 1)
        #expect(link.counters.octetsIn == UInt64(padded.count))
    }

    @Test func `every address of the tailnet but the guest's own is behind the gateway`() throws {
        let link = GuestSide.link()
        for target in [GuestSide.service, GuestSide.peer, IPv4Address(8, 8, 8, 8)] {
            let (verdict, bytes) = link.receive(GuestSide.arp(target))
            #expect(verdict == .reply)
            let ethernet = try EthernetHeader(parsing: bytes.span)
            let body = Array(bytes[14...])
            let reply = try ARPPacket(parsing: body.span)
            #expect(ethernet.destination == GuestSide.guest && ethernet.source == GuestSide.own)
            #expect(reply.operation == .reply && reply.senderAddress == target)
            #expect(reply.senderHardwareAddress == GuestSide.own && reply.targetAddress == GuestSide.address)
        }
    }

    @Test func `probes and announcements of the guest's own address hear nothing`() {
        let link = GuestSide.link()
        #expect(link.receive(GuestSide.arp(GuestSide.address, sender: .unspecified)).verdict == .consumed)
        #expect(link.receive(GuestSide.arp(GuestSide.address)).verdict == .consumed)
        #expect(link.receive(GuestSide.arp(GuestSide.address, operation: .reply)).verdict == .consumed)
        #expect(link.receive(GuestSide.arp(IPv4Address(169, 254, 3, 4), sender: .unspecified)).verdict == .consumed)
        #expect(link.receive(GuestSide.arp(GuestSide.peer, sender: .unspecified)).verdict == .consumed)
    }

    @Test func `ARP in another's name is dropped and counted`() {
        let link = GuestSide.link()
        #expect(link.receive(GuestSide.arp(GuestSide.address, sender: GuestSide.peer)).verdict == .drop(.spoofedARP))
        #expect(
            link.receive(GuestSide.arp(GuestSide.address, sender: GuestSide.service, operation: .reply)).verdict
                == .drop(.spoofedARP)
        )
        #expect(link.counters[.spoofedARP] == 2)
    }

    @Test func `a guest that sends as another is dropped and counted`() throws {
        let link = GuestSide.link()
        let spoofed = GuestSide.datagram(from: GuestSide.peer, to: GuestSide.peer, port: 9, [1])
        #expect(link.receive(GuestSide.frame(spoofed)).verdict == .drop(.spoofedSource))
        let asService = GuestSide.datagram(from: GuestSide.service, to: GuestSide.peer, port: 9, [1])
        #expect(link.receive(GuestSide.frame(asService)).verdict == .drop(.spoofedSource))
        let asNobody = GuestSide.datagram(from: .unspecified, to: GuestSide.peer, port: 9, [1])
        #expect(link.receive(GuestSide.frame(asNobody)).verdict == .drop(.spoofedSource))
        #expect(link.counters[.spoofedSource] == 3)
        #expect(link.counters.dropsByReason.map(\.reason) == [.spoofedSource])
    }

    @Test func `a guest may speak for the routes that it advertises`() throws {
        let link = GuestSide.link()
        var addressing = GuestSide.addressing
        addressing.advertisedRoutes = [try #require(IPPrefix("192.168.7.0/24"))]
        link.configure(addressing)
        let inside = GuestSide.datagram(from: IPv4Address(192, 168, 7, 9), to: GuestSide.peer, port: 9, [1])
        let outside = GuestSide.datagram(from: IPv4Address(192, 168, 8, 9), to: GuestSide.peer, port: 9, [1])
        guard case .forward = link.receive(GuestSide.frame(inside)).verdict else {
            Issue.record("not forwarded")
            return
        }
        #expect(link.receive(GuestSide.frame(outside)).verdict == .drop(.spoofedSource))
    }

    @Test func `chatter of the link stays on it`() {
        let link = GuestSide.link()
        let mDNS = GuestSide.datagram(to: IPv4Address(224, 0, 0, 251), port: 5353, [1])
        #expect(
            link.receive(GuestSide.frame(mDNS, to: MACAddress(rawValue: 0x0100_5E00_00FB))).verdict == .drop(.multicast)
        )
        let broadcast = GuestSide.datagram(to: .broadcast, port: 9, [1])
        #expect(link.receive(GuestSide.frame(broadcast, to: .broadcast)).verdict == .drop(.multicast))
        let directed = GuestSide.datagram(to: IPv4Address(100, 127, 255, 255), port: 137, [1])
        #expect(link.receive(GuestSide.frame(directed, to: .broadcast)).verdict == .drop(.multicast))
        let metadata = GuestSide.datagram(to: IPv4Address(169, 254, 169, 254), port: 80, [1])
        #expect(link.receive(GuestSide.frame(metadata)).verdict == .drop(.linkLocal))
        let routerSolicitation = IPv6Header(
            nextHeader: .icmpv6,
            source: .unspecified,
            destination: IPv6Address(high: 0xFF02 << 48, low: 2),
            payloadByteCount: 8
        )
        let packet = GuestSide.stored(48) { routerSolicitation.store(into: &$0, at: 0) }
        #expect(link.receive(GuestSide.frame(packet, .ipv6)).verdict == .drop(.multicast))
        let own = GuestSide.datagram(to: GuestSide.address, port: 9, [1])
        #expect(link.receive(GuestSide.frame(own)).verdict == .drop(.ownDestination))
        let tsmp = GuestSide.packet(.tsmp, to: GuestSide.peer, [UInt8](repeating: 0x70, count: 9))
        #expect(link.receive(GuestSide.frame(tsmp)).verdict == .drop(.reservedProtocol))
    }

    @Test func `the gateway answers pings`() throws {
        let link = GuestSide.link()
        let answer = try link.answer(to: GuestSide.frame(GuestSide.echoRequest(to: GuestSide.service, [7, 8, 9])))
        let reply = try ICMPv4Message(parsing: answer.payload.span)
        #expect(reply == ICMPv4Message(kind: .echoReply, restOfHeader: 0x0102_0003))
        #expect(Array(answer.payload[8...]) == [7, 8, 9])
        #expect(answer.ipv4.source == GuestSide.service && answer.ipv4.destination == GuestSide.address)
    }

    @Test func `the resolver answers for the netmap and says when it cannot`() throws {
        let link = GuestSide.link()
        let own = DNSZone.Node(name: try #require(DNSName("web.tail1.ts.net")), addresses: [.v4(GuestSide.address)])
        let db = DNSZone.Node(name: try #require(DNSName("db.tail1.ts.net")), addresses: [.v4(GuestSide.peer)])
        let upstream = DNSUpstream("100.64.0.53")
        let corp = try #require(DNSName("corp.example"))
        link.setZone(DNSZone(own: own, peers: [db], isProxied: true, routes: [corp: [upstream]]))
        func query(_ name: String) throws -> [UInt8] {
            let question = DNSQuestion(name: try #require(DNSName(name)), type: .a)
            let message = DNSMessage(identifier: 5, flags: DNSFlags(rawValue: 0x0100), questions: [question])
            return GuestSide.datagram(to: GuestSide.service, port: 53, message.bytes)
        }
        let found = try link.ask(query("db"))
        #expect(found.udp.sourcePort == 53 && found.udp.destinationPort == 40000)
        let message = try DNSMessage(parsing: found.payload.span)
        #expect(message.answers.map(\.content) == [.ipv4(GuestSide.peer)])
        let missing = try link.ask(query("www.example.com"))
        #expect(try DNSMessage(parsing: missing.payload.span).flags.responseCode == .serverFailure)
        guard case .resolve(let forwarded) = link.receive(GuestSide.frame(try query("a.corp.example"))).verdict else {
            Issue.record("not forwarded")
            return
        }
        #expect(forwarded.upstreams == [upstream] && forwarded.name == DNSName("a.corp.example"))
        #expect(
            forwarded.client == .datagram(AddressPort(.v4(GuestSide.address), port: 40000), to: .v4(GuestSide.service))
        )
        var batch = NICFrameBatch()
        let waiting = link.respond(to: forwarded, message: [1, 2, 3], into: &batch)
        #expect(waiting.isEmpty)
        #expect(Array(batch.take().readableBytesView.suffix(3)) == [1, 2, 3])
    }

    @Test func `everything else at the service address is refused aloud`() throws {
        let link = GuestSide.link()
        let request = GuestSide.datagram(to: GuestSide.service, port: 123, [1, 2])
        let unreachable = try link.answer(to: GuestSide.frame(request))
        let error = try ICMPv4Message(parsing: unreachable.payload.span)
        #expect(error.kind == .destinationUnreachable && error.code == ICMPv4Message.UnreachableCode.port)
        #expect(Array(unreachable.payload[8...]) == request)
        let gre = try link.answer(to: GuestSide.frame(GuestSide.packet(.gre, to: GuestSide.service, [0, 0])))
        #expect(try ICMPv4Message(parsing: gre.payload.span).code == ICMPv4Message.UnreachableCode.ipProtocol)
    }

    @Test func `TCP to the service address is reset`() throws {
        let link = GuestSide.link()
        func segment(_ flags: TCPFlags, _ payload: [UInt8] = []) -> [UInt8] {
            var header = TCPHeader(
                sourcePort: 40001,
                destinationPort: 80,
                sequenceNumber: 1000,
                acknowledgementNumber: 77,
                flags: flags,
                window: 1
            )
            let ipv4 = IPv4Header(
                ipProtocol: .tcp,
                source: GuestSide.address,
                destination: GuestSide.service,
                payloadByteCount: 20 + payload.count
            )
            header.seal(ipv4.pseudoHeader(payloadByteCount: 20 + payload.count), payload: payload.span)
            let sealed = header
            let bytes = GuestSide.stored(20) { sealed.store(into: &$0, at: 0) } + payload
            return GuestSide.frame(GuestSide.packet(.tcp, to: GuestSide.service, bytes))
        }
        let refused = try link.answer(to: segment(.syn))
        let reset = try TCPHeader(parsing: refused.payload.span)
        #expect(reset.flags == [.rst, .ack] && reset.sequenceNumber == 0 && reset.acknowledgementNumber == 1001)
        #expect(reset.sourcePort == 80 && reset.destinationPort == 40001)
        var sum = refused.ipv4.pseudoHeader(payloadByteCount: refused.payload.count)
        sum.add(refused.payload.span)
        #expect(sum.value == 0)
        let stale = try link.answer(to: segment([.ack, .psh], [1, 2]))
        let second = try TCPHeader(parsing: stale.payload.span)
        #expect(second.flags == .rst && second.sequenceNumber == 77)
        #expect(link.receive(segment(.rst)).verdict == .drop(.uselessToService))
    }

    @Test func `packets beyond the MTU are answered with what would fit`() throws {
        let link = GuestSide.link()
        let large = GuestSide.datagram(to: GuestSide.peer, port: 9, [UInt8](repeating: 1, count: 1253))
        let answer = try link.answer(to: GuestSide.frame(large))
        let error = try ICMPv4Message(parsing: answer.payload.span)
        #expect(error.kind == .destinationUnreachable && error.code == 4 && error.restOfHeader == 1280)
        #expect(answer.payload.count == 8 + ICMPv4Message.maximumQuotedByteCount)
        #expect(answer.ipv4.source == GuestSide.service)
        let fitting = GuestSide.datagram(to: GuestSide.peer, port: 9, [UInt8](repeating: 1, count: 1252))
        guard case .forward = link.receive(GuestSide.frame(fitting)).verdict else {
            Issue.record("not forwarded")
            return
        }
    }

    @Test func `IPv6 of the guest's own address passes by the same rules`() throws {
        let link = GuestSide.link()
        let source = try #require(GuestSide.addressing.ipv6)
        func packet(_ source: IPv6Address, _ payloadByteCount: Int) throws -> [UInt8] {
            let header = IPv6Header(
                nextHeader: .udp,
                source: source,
                destination: try #require(IPv6Address("fd7a:115c:a1e0::2")),
                payloadByteCount: payloadByteCount
            )
            return GuestSide.stored(40 + payloadByteCount) { header.store(into: &$0, at: 0) }
        }
        guard case .forward = link.receive(GuestSide.frame(try packet(source, 8), .ipv6)).verdict else {
            Issue.record("not forwarded")
            return
        }
        #expect(link.receive(GuestSide.frame(try packet(.loopback, 8), .ipv6)).verdict == .drop(.spoofedSource))
        #expect(link.receive(GuestSide.frame(try packet(source, 8), .ipv4)).verdict == .drop(.malformedPacket))
        let (verdict, bytes) = link.receive(GuestSide.frame(try packet(source, 1300), .ipv6))
        #expect(verdict == .reply)
        let reply = Array(bytes[14...])
        let header = try IPv6Header(parsing: reply.span)
        let body = Array(reply[40...])
        let error = try ICMPv6Message(parsing: body.span, in: header)
        #expect(error.kind == .packetTooBig && error.restOfHeader == 1280 && reply.count == 1280)
    }

    @Test func `errors about packets of the guest are told, save those that may not be`() throws {
        let link = GuestSide.link()
        let packet = GuestSide.datagram(to: GuestSide.peer, port: 9, [1])
        let cases: [(GuestICMPError, UInt8)] = [
            (.networkUnreachable, 0), (.hostUnreachable, 1), (.prohibited, 13), (.portUnreachable, 3),
            (.protocolUnreachable, 2), (.tooBig(mtu: 1280), 4),
        ]
        for (kind, code) in cases {
            let told = link.error(kind, for: packet.span)
            let frame = try #require(told)
            let body = Array(frame.readableBytesView.dropFirst(34))
            let message = try ICMPv4Message(parsing: body.span)
            #expect(message.code == code && Array(body[8...]) == packet)
        }
        let error = ICMPv4Message(kind: .destinationUnreachable, code: 3)
        let aboutError = GuestSide.packet(
            .icmpv4,
            to: GuestSide.peer,
            GuestSide.stored(8) { error.store(into: &$0, at: 0, payload: [UInt8]().span) }
        )
        let told = link.error(.hostUnreachable, for: aboutError.span)
        #expect(told == nil)
        let zeros = [UInt8](repeating: 0, count: 30)
        let toldOfZeros = link.error(.hostUnreachable, for: zeros.span)
        #expect(toldOfZeros == nil)
        var fragment = packet
        fragment[7] = 0x40
        let toldOfFragment = link.error(.hostUnreachable, for: fragment.span)
        #expect(toldOfFragment == nil)
    }

    @Test func `the NIC's address is learned from its frames`() throws {
        let link = GuestSide.link()
        let other = try #require(MACAddress("02:00:00:00:00:09"))
        _ = link.receive(GuestSide.frame(GuestSide.echoRequest(to: GuestSide.peer), from: other))
        #expect(link.guestHardwareAddress == other)
        var batch = NICFrameBatch()
        link.send(packet: GuestSide.echoRequest(to: GuestSide.address).span, into: &batch)
        let octets = Array(batch.take().readableBytesView.dropFirst(4))
        #expect(try EthernetHeader(parsing: octets.span).destination == other)
    }

    @Test func `frames that are no business of ours are dropped by their reason`() {
        let link = GuestSide.link()
        let packet = GuestSide.echoRequest(to: GuestSide.peer)
        let cases: [(frame: [UInt8], reason: GuestDropReason)] = [
            ([], .runtFrame), ([UInt8](repeating: 0xFF, count: 13), .runtFrame),
            (GuestSide.frame(packet, from: .broadcast), .badHardwareAddress),
            (GuestSide.frame(packet, from: GuestSide.own), .badHardwareAddress),
            (GuestSide.frame(packet, to: GuestSide.guest), .otherStation),
            (GuestSide.frame([0, 5, 8, 0] + packet, .vlan), .taggedFrame),
            (GuestSide.frame(packet, EtherType(rawValue: 0x0026)), .unknownEtherType),
            (GuestSide.frame(Array(packet[..<19])), .malformedPacket),
            (GuestSide.frame([UInt8](repeating: 0, count: 27), .arp), .malformedARP),
        ]
        for (frame, reason) in cases { #expect(link.receive(frame).verdict == .drop(reason)) }
        link.configure(nil)
        #expect(link.receive(GuestSide.frame(packet)).verdict == .drop(.linkDown))
        #expect(link.receive(GuestSide.arp(GuestSide.service)).verdict == .drop(.linkDown))
        #expect(link.counters.framesIn == UInt64(cases.count + 2))
    }

    @Test func `no truncation, mutation or garbage traps, and nothing foreign is forwarded`() {
        let link = GuestSide.link()
        let query = DNSMessage(
            identifier: 5,
            flags: DNSFlags(rawValue: 0x0100),
            questions: [DNSQuestion(name: DNSName("db.tail1.ts.net") ?? .root, type: .a)]
        ).bytes
        var dhcp = DHCPv4Message(isFromServer: false, transactionID: 1, clientHardwareAddress: GuestSide.guest)
        dhcp.type = .discover
        let seeds = [
            GuestSide.arp(GuestSide.service), GuestSide.frame(GuestSide.echoRequest(to: GuestSide.service)),
            GuestSide.frame(GuestSide.datagram(to: GuestSide.service, port: 53, query)),
            GuestSide.frame(
                GuestSide.datagram(from: .unspecified, sourcePort: 68, to: .broadcast, port: 67, dhcp.bytes),
                to: .broadcast
            ),
            GuestSide.frame(GuestSide.packet(.tcp, to: GuestSide.service, [UInt8](repeating: 0x50, count: 24))),
            GuestSide.frame(GuestSide.datagram(to: GuestSide.peer, port: 9, [UInt8](repeating: 1, count: 1400))),
        ]
        var generator = SeededGenerator(seed: 5)
        func check(_ bytes: [UInt8]) {
            let (verdict, packet) = link.receive(bytes)
            guard case .forward(let parsed) = verdict else { return }
            #expect(
                GuestSide.addressing.ipv4.map(IPAddress.v4) == parsed.source
                    || parsed.source == GuestSide.addressing.ipv6.map(IPAddress.v6)
            )
            #expect(parsed.byteCount == packet.count && packet.count <= 1280)
        }
        for seed in seeds {
            for count in 0...seed.count { check(Array(seed[..<count])) }
            for _ in 0..<2000 {
                var mutated = seed
                for _ in 0..<Int.random(in: 1...5, using: &generator) {
                    // The hardware addresses stay, or hardly any frame would get further.
                    let index = Int.random(in: 12..<mutated.count, using: &generator)
                    mutated[index] = UInt8.random(in: 0...255, using: &generator)
                }
                check(mutated)
                check(GuestSide.frame(generator.bytes(upTo: 90)))
                check(GuestSide.frame([0x45] + generator.bytes(upTo: 90)))
            }
        }
    }
}

import GuestNetwork
import NIOCore
import NetTypes
import NetWire
import Testing

@Suite("GuestLink: routers and neighbors (RFC 4861, RFC 8106)")
struct NeighborDiscoveryTests {
    private func solicitation(for target: IPv6Address, from source: IPv6Address = GuestSide.linkLocal) -> [UInt8] {
        GuestSide.discovery(
            .neighborSolicitation(
                target: target,
                options: source.isUnspecified ? [] : [.sourceLinkLayerAddress(GuestSide.guest)]
            ),
            from: source,
            to: target.solicitedNode
        )
    }

    private func advertisement(_ frame: ByteBuffer?) throws -> RouterAdvertisement {
        let received = try ReceivedIPv6(Array(try #require(frame).readableBytesView))
        guard case .routerAdvertisement(let advertisement) = try received.discovery else {
            throw WireError.badMagic
        }
        #expect(received.header.destination == .allNodes && received.header.source == GuestSide.router)
        #expect(received.ethernet.destination.description == "33:33:00:00:00:01")
        return advertisement
    }

    @Test func `a host that looks for routers finds one, its resolver and its domains`() throws {
        let answer = try GuestSide.link().answerIPv6(
            to: GuestSide.discovery(.routerSolicitation(options: []), to: .allRouters)
        )
        #expect(answer.header.destination == GuestSide.linkLocal && answer.header.source == GuestSide.router)
        #expect(answer.ethernet.destination == GuestSide.guest && answer.header.hopLimit == 255)
        let expected = RouterAdvertisement(
            hopLimit: 64,
            isManaged: true,
            hasOtherConfiguration: true,
            routerLifetimeSeconds: 65535,
            options: [
                .sourceLinkLayerAddress(GuestSide.own), .mtu(1280),
                .nameServers([TailnetAddresses.serviceIPv6], lifetimeSeconds: 65535),
                .searchDomains(GuestSide.addressing.searchDomains, lifetimeSeconds: 65535),
            ]
        )
        #expect(try answer.discovery == .routerAdvertisement(expected))
        let early = try GuestSide.link().answerIPv6(
            to: GuestSide.discovery(.routerSolicitation(options: []), from: .unspecified, to: .allRouters)
        )
        #expect(early.header.destination == .allNodes)
    }

    @Test func `changes are told unasked, and what no longer holds is withdrawn`() throws {
        let link = GuestSide.link(configured: false)
        #expect(link.announcement() == nil)
        #expect(try advertisement(link.configure(GuestSide.addressing)).routerLifetimeSeconds == 65535)
        let unchanged = link.configure(GuestSide.addressing)
        #expect(unchanged == nil)
        var changed = GuestSide.addressing
        changed.searchDomains = ["corp.example", "new.example"].compactMap { DNSName($0) }
        let told = try advertisement(link.configure(changed))
        #expect(told.options.contains(.searchDomains(changed.searchDomains, lifetimeSeconds: 65535)))
        let gone = ["tail1.ts.net"].compactMap { DNSName($0) }
        #expect(told.options.contains(.searchDomains(gone, lifetimeSeconds: 0)))
        #expect(try advertisement(link.announcement()) == told)
        let farewell = try advertisement(link.configure(nil))
        #expect(farewell.routerLifetimeSeconds == 0 && !farewell.isManaged)
        #expect(farewell.options.contains(.nameServers([TailnetAddresses.serviceIPv6], lifetimeSeconds: 0)))
        #expect(farewell.options.contains(.searchDomains(changed.searchDomains, lifetimeSeconds: 0)))
        #expect(link.announcement() == nil)
    }

    @Test func `without an IPv6 address there is no router`() throws {
        let link = GuestLink(unixTime: { 0 })
        var addressing = GuestSide.addressing
        addressing.ipv6 = nil
        #expect(link.configure(addressing) == nil)
        let asked = GuestSide.discovery(.routerSolicitation(options: []), to: .allRouters)
        #expect(link.receive(asked).verdict == .consumed)
        link.configure(GuestSide.addressing)
        #expect(link.receive(asked).verdict == .reply)
        #expect(try advertisement(link.configure(addressing)).routerLifetimeSeconds == 0)
        #expect(link.receive(asked).verdict == .consumed)
    }

    @Test func `search domains without end stay within a packet`() throws {
        let link = GuestLink(unixTime: { 0 })
        var addressing = GuestSide.addressing
        addressing.searchDomains = (0..<200).compactMap { DNSName("domain-number-\($0).example.org") }
        link.configure(addressing)
        addressing.searchDomains = (0..<200).compactMap { DNSName("other-number-\($0).example.org") }
        let frame = try #require(link.configure(addressing))
        #expect(frame.readableBytes <= 14 + 1280)
        for case .searchDomains(let names, _) in try advertisement(frame).options { #expect(names.count > 10) }
    }

    @Test func `the router and the resolver are found, probed and defended`() throws {
        let link = GuestSide.link()
        for target in [GuestSide.router, TailnetAddresses.serviceIPv6] {
            for source in [GuestSide.linkLocal, GuestSide.ipv6] {
                let answer = try link.answerIPv6(to: solicitation(for: target, from: source))
                #expect(answer.header.destination == source && answer.ethernet.destination == GuestSide.guest)
                #expect(
                    try answer.discovery
                        == .neighborAdvertisement(
                            .init(
                                target: target,
                                isRouter: true,
                                isSolicited: true,
                                overrides: true,
                                options: [.targetLinkLayerAddress(GuestSide.own)]
                            )
                        )
                )
            }
            // Whether the router is still there (RFC 4861 §7.3) is asked of it alone.
            let probe = GuestSide.discovery(.neighborSolicitation(target: target, options: []), to: target)
            #expect(link.receive(probe).verdict == .reply)
            let taken = try link.answerIPv6(to: solicitation(for: target, from: .unspecified))
            #expect(taken.header.destination == .allNodes)
            guard case .neighborAdvertisement(let defense) = try taken.discovery else { throw WireError.badMagic }
            #expect(!defense.isSolicited && defense.overrides)
        }
    }

    @Test func `the guest's own addresses are its own`() {
        let link = GuestSide.link()
        for target in [GuestSide.ipv6, GuestSide.linkLocal] {
            #expect(link.receive(solicitation(for: target, from: .unspecified)).verdict == .consumed)
            #expect(link.receive(solicitation(for: target)).verdict == .consumed)
        }
        let announced = GuestSide.discovery(
            .neighborAdvertisement(
                .init(target: GuestSide.ipv6, isRouter: false, isSolicited: false, overrides: true)
            ),
            to: .allNodes
        )
        #expect(link.receive(announced).verdict == .consumed)
    }

    @Test func `a guest that believes its peers on the link finds them behind us`() throws {
        let answer = try GuestSide.link().answerIPv6(to: solicitation(for: GuestSide.peerIPv6, from: GuestSide.ipv6))
        guard case .neighborAdvertisement(let found) = try answer.discovery else { throw WireError.badMagic }
        #expect(found.target == GuestSide.peerIPv6 && !found.overrides)
        #expect(found.options == [.targetLinkLayerAddress(GuestSide.own)])
        #expect(
            GuestSide.link().receive(solicitation(for: GuestSide.peerIPv6, from: .unspecified)).verdict == .consumed
        )
    }

    @Test func `who speaks in another's name, from afar or nonsense is dropped, and its hardware address forgotten`()
        throws
    {
        let link = GuestSide.link()
        let target = GuestSide.router
        let cases: [(frame: [UInt8], reason: GuestDropReason)] = [
            (solicitation(for: target, from: GuestSide.peerIPv6), .spoofedNeighborDiscovery),
            (
                GuestSide.discovery(.routerAdvertisement(RouterAdvertisement(routerLifetimeSeconds: 9)), to: .allNodes),
                .spoofedNeighborDiscovery
            ),
            (
                GuestSide.discovery(.routerSolicitation(options: []), from: GuestSide.peerIPv6, to: .allRouters),
                .spoofedNeighborDiscovery
            ),
            (
                GuestSide.discovery(.routerSolicitation(options: []), to: .allRouters, hopLimit: 254),
                .malformedNeighborDiscovery
            ),
            // A redirect.
            (
                GuestSide.message(
                    ICMPv6Message(kind: .init(rawValue: 137)),
                    [UInt8](repeating: 0, count: 32),
                    from: GuestSide.linkLocal,
                    to: GuestSide.router,
                    hopLimit: 255
                ), .malformedNeighborDiscovery
            ),
            (
                GuestSide.discovery(
                    .routerSolicitation(
                        options: [.unknown(type: 99, value: [UInt8](repeating: 0, count: 1598))]
                    ),
                    to: .allRouters
                ), .malformedNeighborDiscovery
            ),
        ]
        for (frame, reason) in cases {
            var frame = frame
            frame.replaceSubrange(6..<12, with: [2, 0, 0, 0, 0, 9])
            #expect(link.receive(frame).verdict == .drop(reason))
        }
        #expect(link.guestHardwareAddress == GuestSide.guest)
        var corrupt = solicitation(for: target)
        corrupt[70] ^= 1
        #expect(link.receive(corrupt).verdict == .drop(.malformedNeighborDiscovery))
    }

    @Test func `reports of what the guest listens to are dropped as what they are`() throws {
        // MLDv2, behind a hop-by-hop header with a router alert (RFC 3810).
        let report: [UInt8] =
            [58, 0, 5, 2, 0, 0, 1, 0] + [143, 0, 0, 0, 0, 0, 0, 1] + [4, 0, 0, 0] + [UInt8](repeating: 0, count: 16)
        let header = IPv6Header(
            nextHeader: IPProtocol(rawValue: 0),
            source: GuestSide.linkLocal,
            destination: try #require(IPv6Address("ff02::16")),
            payloadByteCount: report.count,
            hopLimit: 1
        )
        let link = GuestSide.link()
        #expect(link.receive(GuestSide.frame(header, report)).verdict == .drop(.multicast))
        #expect(link.counters[.malformedPacket] == 0)
    }

    @Test func `the router answers echoes, the resolver queries, also from the link's addresses`() throws {
        let link = GuestSide.link()
        for (source, destination) in [
            (GuestSide.linkLocal, GuestSide.router), (GuestSide.ipv6, TailnetAddresses.serviceIPv6),
        ] {
            let echo = ICMPv6Message(kind: .echoRequest, restOfHeader: 0x0102_0003)
            let answer = try link.answerIPv6(to: GuestSide.message(echo, [7, 8], from: source, to: destination))
            #expect(try answer.icmp == ICMPv6Message(kind: .echoReply, restOfHeader: 0x0102_0003))
            #expect(answer.header.source == destination && answer.header.destination == source)
            #expect(Array(answer.payload[8...]) == [7, 8])
        }
        let name = try #require(DNSName("db.tail1.ts.net")), own = try #require(DNSName("web.tail1.ts.net"))
        link.setZone(
            DNSZone(
                own: DNSZone.Node(name: own, addresses: [.v6(GuestSide.ipv6)]),
                peers: [DNSZone.Node(name: name, addresses: [.v6(GuestSide.peerIPv6)])],
                isProxied: true
            )
        )
        let query = DNSMessage(
            identifier: 5,
            flags: DNSFlags(rawValue: 0x0100),
            questions: [DNSQuestion(name: name, type: .aaaa)]
        ).bytes
        for source in [GuestSide.linkLocal, GuestSide.ipv6] {
            let answer = try link.answerIPv6(
                to: GuestSide.datagramIPv6(from: source, to: TailnetAddresses.serviceIPv6, port: 53, query)
            )
            #expect(answer.header.source == TailnetAddresses.serviceIPv6 && answer.header.destination == source)
            let (udp, payload) = try answer.datagram
            #expect(udp.sourcePort == 53 && udp.destinationPort == 40000)
            #expect(try DNSMessage(parsing: payload.span).answers.map(\.content) == [.ipv6(GuestSide.peerIPv6)])
        }
        var unsummed = GuestSide.datagramIPv6(to: TailnetAddresses.serviceIPv6, port: 53, query)
        unsummed.replaceSubrange(60..<62, with: [0, 0])
        #expect(link.receive(unsummed).verdict == .drop(.uselessToService))
        let refused = try link.answerIPv6(
            to: GuestSide.datagramIPv6(to: TailnetAddresses.serviceIPv6, port: 123, [1])
        )
        #expect(try refused.icmp.kind == .destinationUnreachable && refused.icmp.code == 4)
        let elsewhere = try #require(IPv6Address("fe80::9"))
        #expect(
            link.receive(GuestSide.datagramIPv6(from: GuestSide.linkLocal, to: elsewhere, port: 9, [1])).verdict
                == .drop(.linkLocal)
        )
        #expect(
            link.receive(GuestSide.datagramIPv6(from: GuestSide.linkLocal, to: GuestSide.peerIPv6, port: 9, [1]))
                .verdict == .drop(.linkLocal)
        )
    }

    @Test func `errors about IPv6 packets are told by their codes, quote what fits and obey what may not be told`()
        throws
    {
        let link = GuestSide.link()
        let frame = GuestSide.datagramIPv6(to: GuestSide.peerIPv6, port: 9, [UInt8](repeating: 3, count: 1232))
        let packet = Array(frame[14...])
        let cases: [(GuestICMPError, type: UInt8, code: UInt8, rest: UInt32)] = [
            (.networkUnreachable, 1, 0, 0), (.hostUnreachable, 1, 3, 0), (.prohibited, 1, 1, 0),
            (.portUnreachable, 1, 4, 0), (.protocolUnreachable, 4, 1, 6), (.tooBig(mtu: 1280), 2, 0, 1280),
        ]
        for (kind, type, code, rest) in cases {
            let told = link.error(kind, for: packet.span)
            let received = try ReceivedIPv6(Array(try #require(told).readableBytesView))
            let message = try received.icmp
            #expect(message.kind.rawValue == type && message.code == code && message.restOfHeader == rest)
            #expect(received.header.destination == GuestSide.ipv6)
            #expect(received.payload.count == 1240 && Array(received.payload[8...]) == Array(packet[..<1232]))
        }
        let aboutError = Array(
            GuestSide.message(ICMPv6Message(kind: .packetTooBig), [1], to: GuestSide.peerIPv6)[14...]
        )
        let aboutGroup = Array(
            GuestSide.message(ICMPv6Message(kind: .echoRequest), [1], to: .allNodes)[14...]
        )
        for packet in [aboutError, aboutGroup] {
            let told = link.error(.hostUnreachable, for: packet.span)
            #expect(told == nil)
        }
    }

    @Test func `no truncation or mutation of what a guest says on its link traps`() {
        let link = GuestSide.link()
        let seeds = [
            solicitation(for: GuestSide.router),
            GuestSide.discovery(
                .routerSolicitation(options: [.sourceLinkLayerAddress(GuestSide.guest)]),
                to: .allRouters
            ),
            GuestSide.datagramIPv6(to: GuestSide.peerIPv6, port: 9, [UInt8](repeating: 1, count: 100)),
            GuestSide.message(ICMPv6Message(kind: .echoRequest), [1, 2], to: TailnetAddresses.serviceIPv6),
        ]
        var generator = SeededGenerator(seed: 11)
        func check(_ frame: [UInt8]) {
            let (verdict, packet) = link.receive(frame)
            guard case .forward(let parsed) = verdict else { return }
            #expect(parsed.source == .v6(GuestSide.ipv6) && parsed.byteCount == packet.count)
        }
        for seed in seeds {
            for count in 0...seed.count { check(Array(seed[..<count])) }
            for _ in 0..<2000 {
                var mutated = seed
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    mutated[Int.random(in: 14..<seed.count, using: &generator)] = .random(
                        in: 0...255,
                        using: &generator
                    )
                }
                check(mutated)
            }
        }
    }
}

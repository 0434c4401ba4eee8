import NetTypes
import NetWire
import Tailcfg
import Tailnet
import Testing

private let own4 = "100.64.0.1"
private let own6 = "fd7a:115c:a1e0::1"
private let peer4 = "100.64.0.2"
private let peer6 = "fd7a:115c:a1e0::2"
private let star = FilterRule(sourceIPs: ["*"], destinations: [FilterDestination(ip: "*")])

private func filter(
    _ rules: [FilterRule],
    holders: [String: [IPAddress]] = [:],
    local: [String] = [own4 + "/32", own6 + "/128"],
    shieldsUp: Bool = false
) throws -> PacketFilter {
    let filter = PacketFilter(seed: 7)
    try update(filter, rules, holders: holders, local: local, shieldsUp: shieldsUp)
    return filter
}

private func update(
    _ filter: PacketFilter,
    _ rules: [FilterRule],
    holders: [String: [IPAddress]] = [:],
    local: [String] = [own4 + "/32", own6 + "/128"],
    shieldsUp: Bool = false
) throws {
    filter.update(
        rules: PacketFilterRules(rules, capabilityHolders: holders),
        localAddresses: try local.map { try #require(IPPrefix($0)) },
        shieldsUp: shieldsUp
    )
}

private func ssh(from sources: [String], to destination: String = "*", protocols: [Int] = [6]) -> FilterRule {
    FilterRule(
        sourceIPs: sources,
        destinations: [FilterDestination(ip: destination, ports: PortRange(first: 22, last: 22))],
        ipProtocols: protocols
    )
}

@Suite("PacketFilter: rules")
struct PacketFilterRuleTests {
    @Test func `a filter without rules lets nobody open anything`() throws {
        let fresh = PacketFilter()
        #expect(fresh.inbound(try TestPackets.tcp(peer4, own4, port: 22)) == .drop(.notLocal))
        let filter = try filter([])
        #expect(filter.inbound(try TestPackets.tcp(peer4, own4, port: 22)) == .drop(.noRule))
        #expect(filter.inbound(try TestPackets.udp("100.64.0.2:1", "100.64.0.1:53")) == .drop(.noRule))
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 8)) == .drop(.noRule))
    }

    @Test func `a star covers both families, a zero prefix one`() throws {
        let every = try filter([star])
        #expect(every.inbound(try TestPackets.tcp(peer4, own4, port: 1)) == .accept)
        #expect(every.inbound(try TestPackets.tcp(peer6, own6, port: 1)) == .accept)
        let ipv4 = try filter([FilterRule(sourceIPs: ["0.0.0.0/0"], destinations: [FilterDestination(ip: "*")])])
        #expect(ipv4.inbound(try TestPackets.tcp(peer4, own4, port: 1)) == .accept)
        #expect(ipv4.inbound(try TestPackets.tcp(peer6, own6, port: 1)) == .drop(.noRule))
    }

    @Test func `no protocols means four of them, not all`() throws {
        let filter = try filter([star])
        #expect(filter.inbound(try TestPackets.udp("100.64.0.2:1", "100.64.0.1:53")) == .accept)
        #expect(filter.inbound(try TestPackets.icmp(peer6, own6, type: 128)) == .accept)
        #expect(filter.inbound(try TestPackets.sctp(peer4, own4, port: 22)) == .drop(.noRule))
        let gre = try TestPackets.packet(.gre, peer4, own4, payload: [0, 0, 8, 0])
        #expect(filter.inbound(gre) == .drop(.noRule))
    }

    @Test func `a protocol without ports needs a rule that names it for every port`() throws {
        let gre = try TestPackets.packet(.gre, peer4, own4, payload: [0, 0, 8, 0])
        var rule = star
        rule.ipProtocols = [47]
        #expect(try filter([rule]).inbound(gre) == .accept)
        rule.destinations[0].ports.first = 1
        #expect(try filter([rule]).inbound(gre) == .drop(.noRule))
        let byCapability = FilterRule(
            sourceIPs: ["cap:x"],
            destinations: [FilterDestination(ip: "*")],
            ipProtocols: [47]
        )
        let holder = try #require(IPAddress(peer4))
        #expect(try filter([byCapability], holders: ["x": [holder]]).inbound(gre) == .drop(.noRule))
    }

    @Test func `a rule for one TCP port lets echo requests in, and no other port`() throws {
        let filter = try filter([ssh(from: [peer4, peer6])])
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 8)) == .accept)
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 13)) == .accept)
        #expect(filter.inbound(try TestPackets.icmp(peer6, own6, type: 128)) == .accept)
        #expect(filter.inbound(try TestPackets.icmp("100.64.0.3", own4, type: 8)) == .drop(.noRule))
        #expect(filter.inbound(try TestPackets.tcp(peer4, own4, port: 23)) == .drop(.noRule))
        #expect(filter.inbound(try TestPackets.udp("100.64.0.2:1", "100.64.0.1:22")) == .drop(.noRule))
    }

    @Test func `echo replies need code 0 and eight octets, errors eight octets`() throws {
        let filter = try filter([])
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 0)) == .accept)
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 0, code: 1)) == .drop(.noRule))
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 0, count: 7)) == .drop(.noRule))
        #expect(filter.inbound(try TestPackets.icmp(peer6, own6, type: 2)) == .accept)
        #expect(filter.inbound(try TestPackets.icmp(peer6, own6, type: 2, count: 4)) == .drop(.noRule))
        #expect(filter.inbound(try TestPackets.icmp(peer6, own6, type: 2, count: 3)) == .drop(.unparsable))
    }

    @Test func `TCP passes unless it tries to connect`() throws {
        let filter = try filter([])
        for flags in [TCPFlags.ack, [.syn, .ack], .rst, .fin, []] as [TCPFlags] {
            #expect(filter.inbound(try TestPackets.tcp(peer4, own4, port: 9, flags: flags)) == .accept)
        }
        for flags in [TCPFlags.syn, [.syn, .fin], [.syn, .rst]] as [TCPFlags] {
            #expect(filter.inbound(try TestPackets.tcp(peer4, own4, port: 9, flags: flags)) == .drop(.noRule))
        }
    }

    @Test func `a capability admits its holders, and pings to every destination`() throws {
        let holders = ["x": [try #require(IPAddress(peer4))]]
        let elsewhere = try filter([ssh(from: ["cap:x"], to: "192.0.2.1")], holders: holders)
        #expect(elsewhere.inbound(try TestPackets.icmp(peer4, own4, type: 8)) == .accept)
        #expect(elsewhere.inbound(try TestPackets.tcp(peer4, own4, port: 22)) == .drop(.noRule))
        let here = try filter([ssh(from: ["cap:x"])], holders: holders)
        #expect(here.inbound(try TestPackets.tcp(peer4, own4, port: 22)) == .accept)
        #expect(here.inbound(try TestPackets.tcp("100.64.0.3", own4, port: 22)) == .drop(.noRule))
        #expect(
            try filter([ssh(from: ["cap:"])], holders: ["y": []]).inbound(
                try TestPackets.tcp(peer4, own4, port: 22)
            ) == .drop(.noRule)
        )
    }

    @Test func `a capability rule without a destination in the family opens no pings there`() throws {
        let holders = ["x": [try #require(IPAddress(peer4))]]
        let filter = try filter([ssh(from: ["cap:x"], to: own6)], holders: holders)
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 8)) == .drop(.noRule))
    }

    @Test func `a grant of capabilities opens nothing`() throws {
        let grant = CapabilityGrant(destinations: ["0.0.0.0/0", "::/0"], capabilityMap: ["x": nil])
        let filter = try filter([FilterRule(sourceIPs: ["*"], capabilityGrants: [grant])])
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 8)) == .drop(.noRule))
    }

    @Test func `entries that do not parse only lose themselves`() throws {
        let bad = [
            "bogus", "100.64.0.1/10", "100.64.0.9-100.64.0.3", "100.64.0.1-fd7a::1", "1-2-3", "", "100.64.0.2/33",
        ]
        let rules = PacketFilterRules([ssh(from: bad + [peer4])])
        #expect(rules.problems == bad.map { .source($0) })
        let filter = try filter([ssh(from: bad + [peer4])])
        #expect(filter.inbound(try TestPackets.tcp(peer4, own4, port: 22)) == .accept)
        let destinations = PacketFilterRules([ssh(from: ["*"], to: "cap:x"), ssh(from: ["*"], to: "x")])
        #expect(destinations.problems == [.destination("cap:x"), .destination("x")])
    }

    @Test func `a range holds its ends and nothing beyond`() throws {
        let filter = try filter([ssh(from: ["100.64.0.3-100.64.1.7", "100.64.1.8", "fd7a::f-fd7a::1:0"])])
        for source in ["100.64.0.3", "100.64.0.255", "100.64.1.7", "100.64.1.8"] {
            #expect(filter.inbound(try TestPackets.tcp(source, own4, port: 22)) == .accept)
        }
        for source in ["100.64.0.2", "100.64.1.9"] {
            #expect(filter.inbound(try TestPackets.tcp(source, own4, port: 22)) == .drop(.noRule))
        }
        #expect(filter.inbound(try TestPackets.tcp("fd7a::1:0", own6, port: 22)) == .accept)
        #expect(filter.inbound(try TestPackets.tcp("fd7a::e", own6, port: 22)) == .drop(.noRule))
        #expect(filter.inbound(try TestPackets.tcp("fd7a::1:1", own6, port: 22)) == .drop(.noRule))
    }

    @Test func `deprecated bits deny everything`() throws {
        var source = star
        source.sourceBits = [24]
        var destination = star
        destination.destinations[0].bits = 32
        for rule in [source, destination] {
            #expect(PacketFilterRules([star, rule]).problems == [.deprecatedBits])
            #expect(try filter([star, rule]).inbound(try TestPackets.tcp(peer4, own4, port: 1)) == .drop(.noRule))
        }
    }

    @Test func `a rule that admits an unsigned peer denies everything`() throws {
        let unsigned = [try #require(IPPrefix("100.64.0.9/32"))]
        let rules = PacketFilterRules([ssh(from: [peer4]), ssh(from: ["100.64.0.8/30"])], unsignedPrefixes: unsigned)
        #expect(rules.problems == [.admitsUnsignedPeer])
        let filter = PacketFilter()
        filter.update(rules: rules, localAddresses: [try #require(IPPrefix(own4 + "/32"))])
        #expect(filter.inbound(try TestPackets.tcp(peer4, own4, port: 22)) == .drop(.noRule))
        let grant = FilterRule(sourceIPs: ["*"])
        #expect(PacketFilterRules([ssh(from: [peer4]), grant], unsignedPrefixes: unsigned).problems.isEmpty)
    }

    @Test func `a network map brings rules and the holders of capabilities`() throws {
        var map = NetworkMap(selfNode: Node(id: 1))
        map.packetFilters = ["base": [ssh(from: ["cap:x"])]]
        var peer = Node(id: 2)
        peer.addresses = [try #require(IPPrefix(peer4 + "/32"))]
        peer.capabilityMap = ["x": nil]
        map.peers = [peer.id: peer]
        let filter = PacketFilter()
        let local = [try #require(IPPrefix(own4 + "/32"))]
        filter.update(rules: PacketFilterRules(map), localAddresses: local)
        #expect(filter.inbound(try TestPackets.tcp(peer4, own4, port: 22)) == .accept)
        #expect(filter.inbound(try TestPackets.tcp("100.64.0.3", own4, port: 22)) == .drop(.noRule))
        peer.unsignedPeerAPIOnly = true
        map.peers = [peer.id: peer]
        map.packetFilters["more"] = [ssh(from: [peer4])]
        #expect(PacketFilterRules(map).problems == [.admitsUnsignedPeer])
    }
}

@Suite("PacketFilter: state and destinations")
struct PacketFilterStateTests {
    private static let query = "100.64.0.1:5000"
    private static let server = "100.64.0.2:53"

    @Test func `an answer passes until the conversation is forgotten`() throws {
        let filter = try filter([])
        let answer = try TestPackets.udp(Self.server, Self.query)
        #expect(filter.inbound(answer) == .drop(.noRule))
        #expect(filter.outbound(try TestPackets.udp(Self.query, Self.server)) == .accept)
        #expect(filter.inbound(answer) == .accept)
        #expect(filter.inbound(try TestPackets.udp("100.64.0.2:54", Self.query)) == .drop(.noRule))
        #expect(filter.inbound(try TestPackets.udp("100.64.0.3:53", Self.query)) == .drop(.noRule))
    }

    @Test func `a packet that came in does not count as a conversation of ours`() throws {
        let filter = try filter([FilterRule(sourceIPs: ["*"], destinations: [FilterDestination(ip: "*")])])
        let packet = try TestPackets.udp(Self.server, Self.query)
        #expect(filter.inbound(packet) == .accept)
        try update(filter, [])
        #expect(filter.inbound(packet) == .drop(.noRule))
    }

    @Test func `an answer keeps its conversation young`() throws {
        let filter = try filter([])
        let server = try #require(AddressPort(Self.server))
        let own = try #require(IPAddress(own4))
        for port in 0..<512 as Range<UInt16> {
            _ = filter.outbound(try TestPackets.udp(AddressPort(own, port: 1000 + port), server))
        }
        let first = AddressPort(own, port: 1000)
        #expect(filter.inbound(try TestPackets.udp(server, first)) == .accept)
        _ = filter.outbound(try TestPackets.udp(AddressPort(own, port: 9), server))
        #expect(filter.inbound(try TestPackets.udp(server, first)) == .accept)
        let second = AddressPort(own, port: 1001)
        #expect(filter.inbound(try TestPackets.udp(server, second)) == .drop(.noRule))
    }

    @Test func `new rules keep conversations, raised shields end them`() throws {
        let filter = try filter([star])
        let answer = try TestPackets.udp(Self.server, Self.query)
        _ = filter.outbound(try TestPackets.udp(Self.query, Self.server))
        try update(filter, [])
        #expect(filter.inbound(answer) == .accept)
        try update(filter, [star], shieldsUp: true)
        #expect(filter.isShieldsUp)
        #expect(filter.inbound(answer) == .drop(.shieldsUp))
        _ = filter.outbound(try TestPackets.udp(Self.query, Self.server))
        try update(filter, [star], shieldsUp: true)
        #expect(filter.inbound(answer) == .accept)
        try update(filter, [])
        #expect(filter.inbound(answer) == .accept)
    }

    @Test func `shields let replies through and nothing else`() throws {
        let filter = try filter([star], shieldsUp: true)
        #expect(filter.inbound(try TestPackets.tcp(peer4, own4, port: 22)) == .drop(.shieldsUp))
        #expect(filter.inbound(try TestPackets.tcp(peer4, own4, port: 22, flags: .ack)) == .accept)
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 8)) == .drop(.shieldsUp))
        #expect(filter.inbound(try TestPackets.icmp(peer4, own4, type: 0)) == .accept)
    }

    @Test func `jailed peers have their own conversations`() throws {
        let open = try filter([star])
        let jail = try filter([], shieldsUp: true)
        let answer = try TestPackets.udp(Self.server, Self.query)
        _ = open.outbound(try TestPackets.udp(Self.query, Self.server))
        #expect(jail.inbound(answer) == .drop(.shieldsUp))
        _ = jail.outbound(try TestPackets.udp(Self.query, Self.server))
        #expect(jail.inbound(answer) == .accept)
    }

    @Test func `only own addresses and approved routes are let in`() throws {
        let filter = try filter([star], local: [own4 + "/32", "192.168.7.0/24", "fd00::/64"])
        #expect(filter.inbound(try TestPackets.tcp(peer4, "192.168.7.255", port: 1)) == .accept)
        #expect(filter.inbound(try TestPackets.tcp(peer4, "192.168.8.0", port: 1)) == .drop(.notLocal))
        #expect(filter.inbound(try TestPackets.tcp(peer6, "fd00::ffff", port: 1)) == .accept)
        #expect(filter.inbound(try TestPackets.tcp(peer6, own6, port: 1)) == .drop(.notLocal))
        // Not even what needs no rule.
        #expect(filter.inbound(try TestPackets.tcp(peer4, "100.64.0.5", port: 1, flags: .ack)) == .drop(.notLocal))
        #expect(filter.isLocal(try #require(IPAddress("192.168.7.1"))))
        #expect(!filter.isLocal(try #require(IPAddress("192.168.6.255"))))
    }

    @Test func `groups and links are dropped both ways, except the metadata service`() throws {
        let filter = try filter([star], local: ["0.0.0.0/0", "::/0"])
        for destination in ["224.0.0.251", "239.255.255.250"] {
            let packet = try TestPackets.udp("100.64.0.2:5353", destination + ":5353")
            #expect(filter.inbound(packet) == .drop(.multicast))
            #expect(filter.outbound(packet) == .drop(.multicast))
        }
        #expect(filter.outbound(try TestPackets.icmp(peer6, "ff02::2", type: 133)) == .drop(.multicast))
        #expect(filter.outbound(try TestPackets.tcp(peer4, "169.254.1.1", port: 80)) == .drop(.linkLocal))
        #expect(filter.inbound(try TestPackets.tcp(peer6, "fe80::1", port: 80)) == .drop(.linkLocal))
        #expect(filter.inbound(try TestPackets.tcp(peer6, "febf::1", port: 80)) == .drop(.linkLocal))
        #expect(filter.inbound(try TestPackets.tcp(peer6, "fec0::1", port: 80)) == .accept)
        #expect(filter.inbound(try TestPackets.tcp(peer4, "169.254.169.254", port: 80)) == .accept)
        #expect(filter.outbound(try TestPackets.tcp(own4, "169.254.169.254", port: 80)) == .accept)
    }

    @Test func `a later fragment passes wherever it goes, unless it could overwrite a header`() throws {
        let filter = try filter([])
        let payload = [UInt8](repeating: 0, count: 32)
        let late = try TestPackets.packet(.udp, peer4, "100.64.9.9", payload: payload, fragmentOffset: 80)
        #expect(filter.inbound(late) == .accept)
        let early = try TestPackets.packet(.udp, peer4, own4, payload: payload, fragmentOffset: 72)
        #expect(filter.inbound(early) == .drop(.unparsable))
        let group = try TestPackets.packet(.udp, peer4, "224.0.0.1", payload: payload, fragmentOffset: 80)
        #expect(filter.inbound(group) == .drop(.multicast))
        let first = try TestPackets.packet(
            .udp,
            peer4,
            own4,
            payload: [UInt8](repeating: 0, count: 6),
            moreFragments: true
        )
        #expect(filter.inbound(first) == .drop(.unparsable))
    }

    @Test func `keep-alives pass, stumps do not, and everything is counted`() throws {
        let filter = try filter([star])
        #expect(filter.inbound(([] as [UInt8])) == .accept)
        #expect(filter.inbound([UInt8](repeating: 0x45, count: 19)) == .drop(.tooShort))
        #expect(filter.inbound([UInt8](repeating: 0, count: 20)) == .drop(.unparsable))
        #expect(filter.outbound([UInt8](repeating: 0x60, count: 39)) == .drop(.unparsable))
        let parsed = try ParsedPacket(parsing: TestPackets.tcp(peer4, own4, port: 1))
        #expect(filter.inbound(parsed) == .accept)
        #expect(filter.outbound(parsed) == .accept)
        #expect(filter.inboundCounts.accepted == 2)
        #expect(filter.outboundCounts.accepted == 1)
        #expect(FilterDropReason.allCases.map { filter.inboundCounts[$0] } == [1, 1, 0, 0, 0, 0, 0])
        #expect(FilterDropReason.allCases.map { filter.outboundCounts[$0] } == [0, 1, 0, 0, 0, 0, 0])
    }

    @Test func `cut and random packets never trap`() throws {
        let filter = try filter([star, ssh(from: ["cap:x"])])
        var random = SplitMix64(state: 11)
        let whole = try TestPackets.tcp(peer4, own4, port: 22)
        for count in whole.indices { _ = filter.inbound(Array(whole[..<count])) }
        for _ in 0..<5000 {
            var octets = (0..<Int.random(in: 0...90, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if octets.count > 3 {
                octets[0] = Bool.random(using: &random) ? 0x45 : 0x60
                octets[2] = 0
            }
            _ = filter.inbound(octets)
            _ = filter.outbound(octets)
        }
    }
}

import Coordination
import Foundation
import NetTypes
import Tailcfg
import Tailnet
import Testing
import WarrenCrypto
import WarrenModel

/// What the server makes of a policy, seen through the filter that a node of ours makes of that.
@Suite("Policies at nodes", .timeLimit(.minutes(1))) struct PolicyFilterTests {
    @Test func `a policy cuts two nodes apart and joins them again, while they are connected`() async throws {
        try await Tailnets.withServer { server in
            let alice = try await Machine("alice", server, authKey: try await server.freshKey())
            let bob = try await Machine("bob", server, authKey: try await server.freshKey())
            try await alice.running {
                try await bob.running {
                    let here = try await alice.ipv4(peers: 1)
                    let there = try await bob.ipv4(peers: 1)
                    _ = try await server.setPolicy([:], replacing: nil)
                    _ = try await alice.report { $0.peers.isEmpty }
                    _ = try await bob.report { $0.peers.isEmpty }
                    // One way, one port: the filter of the other end lets nothing else in.
                    let grant: JSONTree = [
                        "hosts": ["bob": .string(there.description), "alice": .string(here.description)],
                        "grants": [["src": ["alice"], "dst": ["bob"], "ip": ["udp:1-65535"]]],
                    ]
                    _ = try await server.setPolicy(grant, replacing: nil)
                    _ = try await alice.ipv4(peers: 1)
                    _ = try await bob.ipv4(peers: 1)
                    try await alice.guest.send(
                        packet: FakeGuest.datagram(from: here, to: there, payload: Array("hello".utf8))
                    )
                    let got = await bob.guest.nextPacket()
                    #expect(got?.suffix(5) == Array("hello".utf8)[...])
                }
            }
        }
    }

    @Test(arguments: 0..<4)
    func `a compiled filter admits what a naive look at the policy admits`(_ seed: Int) async throws {
        try await Tailnets.withServer { server in
            var random = Xorshift(state: UInt64(seed &* 7919 &+ 1))
            let house = try await NaiveHouse(server, policy: NaivePolicy.random(using: &random))
            var admitted = 0
            for _ in 0..<2000 {
                let packet = house.packet(using: &random)
                let expected = house.admits(packet)
                admitted += expected ? 1 : 0
                #expect(house.filterAdmits(packet) == expected, "\(packet) under \(house.policy.document)")
            }
            // A policy that admits nothing or everything would prove little; every one of these has both.
            #expect((1..<2000).contains(admitted))
        }
    }
}

extension CoordinationServer {
    fileprivate func freshKey(tags: [String] = []) async throws -> String {
        try #require(try await createAuthKey(CreateAuthKeyRequest(tags: tags)).key)
    }
}

/// Random numbers that are the same in every run.
private struct Xorshift: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

/// A policy as lists of words, for an evaluation that shares no code with the server's.
private struct NaivePolicy {
    struct Grant {
        var sources: [String]
        var destinations: [String]
        var ports: [String]
    }

    var grants: [Grant]

    private static let sources = [
        "*", "tag:web", "tag:db", "autogroup:member", "autogroup:tagged", "100.64.0.1", "100.64.0.2/31", "10.8.0.0/16",
        "fd7a:115c:a1e0::1",
    ]
    private static let destinations = [
        "*", "tag:web", "tag:router", "autogroup:member", "autogroup:internet", "10.1.0.0/16", "10.0.0.0/8", "10.1.2.3",
        "100.64.0.0/30", "8.8.8.8", "fd7a:115c:a1e0::/48", "2001:db8::/32",
    ]
    private static let ports = [
        "*", "22", "80-90", "tcp:22", "udp:53", "udp:1000-2000", "icmp:*", "sctp:*", "47:*", "tcp:*",
    ]

    static func random(using random: inout Xorshift) -> NaivePolicy {
        func some(_ list: [String], _ random: inout Xorshift) -> [String] {
            (0..<Int.random(in: 1...2, using: &random)).map { _ in list[Int.random(in: list.indices, using: &random)] }
        }
        var grants = (0..<4).map { _ in
            Grant(
                sources: some(sources, &random),
                destinations: some(destinations, &random),
                ports: some(ports, &random)
            )
        }
        grants.append(
            Grant(sources: ["tag:web"], destinations: ["tag:router", "autogroup:internet"], ports: ["tcp:22"])
        )
        // Everything everywhere is another test's case.
        grants.removeAll { $0.sources.contains("*") && $0.destinations.contains("*") }
        return NaivePolicy(grants: grants)
    }

    var document: JSONTree {
        func list(_ texts: [String]) -> JSONTree { .array(texts.map(JSONTree.string)) }
        let grants = grants.map { grant -> JSONTree in
            ["src": list(grant.sources), "dst": list(grant.destinations), "ip": list(grant.ports)]
        }
        return [
            "tagOwners": ["tag:web": [], "tag:db": [], "tag:router": []],
            "autoApprovers": ["routes": ["10.0.0.0/8": ["tag:router"]], "exitNode": ["tag:router"]],
            "grants": .array(grants),
        ]
    }
}

/// Five nodes, their filters, and the questions to both.
private struct NaiveHouse {
    struct Packet {
        var receiver: Int
        var source: IPAddress
        var destination: IPAddress
        var number: UInt8
        var port: UInt16
    }

    private struct Member {
        var tags: [String]
        var addresses: [IPAddress]
        var isRouter: Bool
        var filter: PacketFilter
    }

    let policy: NaivePolicy
    private var members: [Member] = []

    init(_ server: CoordinationServer, policy: NaivePolicy) async throws {
        self.policy = policy
        _ = try await server.setPolicy(policy.document, replacing: nil)
        let registry = server.registry
        var requests: [(MapRequest, MachinePublicKey)] = []
        let tags = [[], ["tag:web"], ["tag:db"], ["tag:router"], []]
        for tags in tags {
            let machine = MachinePrivateKey().publicKey
            let node = NodePrivateKey().publicKey
            var hostinfo = Hostinfo()
            hostinfo.hostname = "node"
            if tags == ["tag:router"] {
                hostinfo.routableIPs = ["10.1.0.0/16", "0.0.0.0/0", "::/0"].compactMap { IPPrefix($0) }
            }
            var register = RegisterRequest(version: .current, nodeKey: node, hostinfo: hostinfo)
            register.authKey = try await server.freshKey(tags: tags)
            _ = try await registry.register(register, from: machine, remoteAddress: nil)
            let disco = DiscoPrivateKey().publicKey
            requests.append(
                (MapRequest(version: .current, nodeKey: node, discoKey: disco, hostinfo: hostinfo), machine)
            )
        }
        for (index, (request, machine)) in requests.enumerated() {
            let map = try await registry.fetch(request, from: machine)
            let node = try #require(map.node)
            let rules = try #require(map.packetFilters["base"] ?? nil)
            let compiled = PacketFilterRules(rules)
            #expect(compiled.problems.isEmpty)
            let filter = PacketFilter(seed: 1)
            filter.update(rules: compiled, localAddresses: node.effectiveAllowedIPs)
            members.append(
                Member(
                    tags: tags[index],
                    addresses: node.addresses.map(\.address),
                    isRouter: node.isExitNodeCandidate,
                    filter: filter
                )
            )
        }
        #expect(members.map(\.isRouter) == [false, false, false, true, false])
    }

    func packet(using random: inout Xorshift) -> Packet {
        func pick(_ texts: [String]) -> IPAddress {
            IPAddress(texts[Int.random(in: texts.indices, using: &random)]) ?? .v4(.unspecified)
        }
        let receiver = Int.random(in: members.indices, using: &random)
        let isIPv4 = Int.random(in: 0..<4, using: &random) > 0
        let strangers = isIPv4 ? ["100.64.0.77", "10.8.1.1", "192.0.2.9"] : ["fd7a:115c:a1e0::77", "2001:db8::9"]
        let others = members.flatMap(\.addresses).filter { $0.isIPv4 == isIPv4 }
        let source =
            Bool.random(using: &random) || Bool.random(using: &random)
            ? others[Int.random(in: others.indices, using: &random)] : pick(strangers)
        var destination = members[receiver].addresses.first { $0.isIPv4 == isIPv4 } ?? .v4(.unspecified)
        if members[receiver].isRouter, Bool.random(using: &random) {
            destination = pick(
                isIPv4
                    ? [
                        "10.1.2.3", "10.1.9.9", "10.2.0.1", "8.8.8.8", "1.1.1.1", "192.168.1.1", "172.16.0.1",
                        "100.64.0.2",
                    ]
                    : ["2001:db8::5", "2606:4700::1", "fd00::1"]
            )
        }
        let numbers: [UInt8] = [6, 6, 17, 17, isIPv4 ? 1 : 58, 132, 47]
        let ports: [UInt16] = [22, 53, 80, 85, 90, 91, 1500, 9]
        return Packet(
            receiver: receiver,
            source: source,
            destination: destination,
            number: numbers[Int.random(in: numbers.indices, using: &random)],
            port: ports[Int.random(in: ports.indices, using: &random)]
        )
    }

    /// What the node's filter says.
    func filterAdmits(_ packet: Packet) -> Bool {
        var transport = [UInt8](repeating: 0, count: 32)
        transport[2] = UInt8(packet.port >> 8)
        transport[3] = UInt8(packet.port & 0xFF)
        switch packet.number {
        case 6: (transport[12], transport[13]) = (0x50, 0x02)
        case 1: transport[0] = 8
        case 58: transport[0] = 128
        case 17: transport[5] = 32
        default: break
        }
        var bytes: [UInt8]
        switch (packet.source, packet.destination) {
        case (.v4(let source), .v4(let destination)):
            bytes = [0x45, 0, 0, UInt8(20 + transport.count), 0, 0, 0, 0, 64, packet.number, 0, 0]
            for word in [source.rawValue, destination.rawValue] {
                for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(word >> shift & 0xFF)) }
            }
        case (.v6(let source), .v6(let destination)):
            bytes = [0x60, 0, 0, 0, 0, UInt8(transport.count), packet.number, 64]
            for word in [source.high, source.low, destination.high, destination.low] {
                for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(word >> UInt64(shift) & 0xFF)) }
            }
        default: return false
        }
        bytes += transport
        return members[packet.receiver].filter.inbound(bytes.span) == .accept
    }

    /// What the policy says, word by word.
    func admits(_ packet: Packet) -> Bool {
        let receiver = members[packet.receiver]
        let isOwn = receiver.addresses.contains(packet.destination)
        guard isOwn || receiver.isRouter else { return false }
        return policy.grants.contains { grant in
            grant.sources.contains { isSource(packet.source, $0) }
                && grant.destinations.contains { isDestination(packet.destination, at: receiver, $0, isOwn: isOwn) }
                && grant.ports.contains { opens($0, packet) }
        }
    }

    private func isSource(_ address: IPAddress, _ word: String) -> Bool {
        if word == "*" { return within(address, ["100.64.0.0/10", "fd7a:115c:a1e0::/48"]) }
        if let holder = members.first(where: { $0.addresses.contains(address) }), has(holder, word) { return true }
        return within(address, [word])
    }

    private func isDestination(_ address: IPAddress, at receiver: Member, _ word: String, isOwn: Bool) -> Bool {
        switch word {
        case "*": true
        case "autogroup:internet":
            receiver.isRouter && !isOwn
                && !within(
                    address,
                    ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
                )
        default:
            isOwn && has(receiver, word)
                || within(address, [word]) && (isOwn || !within(address, ["100.64.0.0/10", "fd7a:115c:a1e0::/48"]))
        }
    }

    private func has(_ member: Member, _ word: String) -> Bool {
        switch word {
        case "autogroup:member": member.tags.isEmpty
        case "autogroup:tagged": !member.tags.isEmpty
        default: member.tags.contains(word)
        }
    }

    private func within(_ address: IPAddress, _ words: [String]) -> Bool {
        words.contains { word in
            IPPrefix(word)?.contains(address) ?? IPAddress(word).map { $0 == address } ?? false
        }
    }

    private func opens(_ clause: String, _ packet: Packet) -> Bool {
        // Clients let a ping pass by any rule between the two, whatever its ports and protocols.
        if packet.number == 1 || packet.number == 58 { return true }
        let parts = clause.split(separator: ":")
        let names: [UInt8: String] = [6: "tcp", 17: "udp", 132: "sctp", 47: "47"]
        let ports = parts.last ?? ""
        if parts.count == 2, names[packet.number] != String(parts[0]) { return false }
        if parts.count == 1, packet.number != 6, packet.number != 17 { return false }
        if ports == "*" { return true }
        let bounds = ports.split(separator: "-").compactMap { UInt16($0) }
        guard let first = bounds.first, let last = bounds.last else { return false }
        return (first...last).contains(packet.port)
    }
}

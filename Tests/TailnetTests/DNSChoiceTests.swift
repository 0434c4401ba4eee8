import GuestNetwork
import NetTypes
import NetWire
import Tailcfg
import Testing

@testable import Tailnet

@Suite("DNSChoice") struct DNSChoiceTests {
    private func node(_ id: NodeID, _ addresses: [String]) throws -> Node {
        var node = Node(id: id)
        node.name = "n\(id).example.net."
        node.addresses = try addresses.map { IPPrefix(try #require(IPAddress($0))) }
        return node
    }

    private func exitNode() throws -> Node {
        var node = try node(2, ["100.64.0.2", "fd7a:115c:a1e0::2"])
        node.capabilityVersion = 131
        var hostinfo = Hostinfo()
        hostinfo.services = [HostService(proto: "peerapi4", port: 4_000), HostService(proto: "peerapi6", port: 6_000)]
        node.hostinfo = hostinfo
        return node
    }

    private func config() -> DNSConfig {
        var config = DNSConfig()
        config.resolvers = [DNSResolver(address: "192.0.2.1"), DNSResolver(address: "192.0.2.2")]
        var kept = DNSResolver(address: "10.0.0.2")
        kept.useWithExitNode = true
        config.routes = [
            "corp.example": [DNSResolver(address: "10.0.0.1"), kept], "lab.example": [DNSResolver(address: "10.0.0.3")],
            "own.example": nil, "empty.example": [],
        ]
        config.fallbackResolvers = [DNSResolver(address: "192.0.2.9")]
        return config
    }

    private func choice(
        _ config: DNSConfig,
        _ exitNode: Node?,
        usesExitNode: Bool? = nil,
        own: [String] = ["100.64.0.1"],
        rule: DNSForwardingRule = .tailnet
    ) throws -> DNSChoice {
        DNSChoice(
            config,
            own: try node(1, own),
            usesExitNode: usesExitNode ?? (exitNode != nil),
            exitNode: exitNode,
            rule: rule
        )
    }

    private func name(_ text: String) throws -> DNSName { try #require(DNSName(text)) }

    @Test func `without an exit node it is as control says`() throws {
        let choice = try choice(config(), nil)
        #expect(choice.resolvers == [DNSUpstream("192.0.2.1"), DNSUpstream("192.0.2.2")])
        #expect(choice.routes[try name("corp.example")] == [DNSUpstream("10.0.0.1"), DNSUpstream("10.0.0.2")])
        #expect(try choice.routes[name("own.example")] == [] && choice.routes[name("empty.example")] == [])
    }

    @Test func `an exit node that can is asked for everything that is not its user's own`() throws {
        let choice = try choice(config(), exitNode())
        let proxy = DNSUpstream.peer(AddressPort(.v4(IPv4Address(100, 64, 0, 2)), port: 4_000), path: "/dns-query")
        #expect(choice.resolvers == [proxy])
        #expect(choice.routes[try name("corp.example")] == [DNSUpstream("10.0.0.2")])
        #expect(choice.routes[try name("lab.example")] == nil)
        #expect(choice.routes[try name("own.example")] == [])
    }

    @Test func `a node without IPv4 asks its exit node over IPv6`() throws {
        let choice = try choice(config(), exitNode(), own: ["fd7a:115c:a1e0::1"])
        let address = try #require(IPAddress("fd7a:115c:a1e0::2"))
        #expect(choice.resolvers == [.peer(AddressPort(address, port: 6_000), path: "/dns-query")])
    }

    @Test func `resolvers that stay in use with an exit node take its place`() throws {
        var config = config()
        config.resolvers[1].useWithExitNode = true
        #expect(try choice(config, exitNode()).resolvers == [DNSUpstream("192.0.2.2")])
    }

    @Test func `an old exit node says by a service that it can`() throws {
        var old = try exitNode()
        old.capabilityVersion = 0
        #expect(try choice(config(), old).resolvers.count == 2)
        old.hostinfo?.services.append(HostService(proto: "peerapi-dns-proxy", port: 1))
        #expect(try choice(config(), old).resolvers.count == 1)
        var ancient = try exitNode()
        ancient.capabilityVersion = 25
        #expect(try choice(config(), ancient).resolvers.count == 2)
        #expect(try choice(config(), ancient).routes[name("lab.example")] == [DNSUpstream("10.0.0.3")])
    }

    @Test func `the fallback is for exit nodes that cannot, and the host's own resolvers for no exit node`() throws {
        var bare = config()
        bare.resolvers = []
        var exit = try exitNode()
        exit.hostinfo = nil
        #expect(try choice(bare, exit).resolvers == [DNSUpstream("192.0.2.9")])
        exit.isWireGuardOnly = true
        exit.exitNodeDNSResolvers = [DNSResolver(address: "10.64.0.1")]
        #expect(try choice(bare, exit).resolvers == [DNSUpstream("10.64.0.1")])
        let host = AddressPort(.v4(IPv4Address(192, 0, 2, 77)), port: 53)
        #expect(try choice(bare, nil, rule: .host(resolvers: [host])).resolvers == [.plain(host)])
        #expect(
            try choice(bare, nil, usesExitNode: true, rule: .host(resolvers: [host])).resolvers == [
                DNSUpstream("192.0.2.9")
            ]
        )
        #expect(try choice(bare, nil).resolvers.isEmpty)
    }

    @Test func `who does not accept the tailnet's DNS asks none of its resolvers`() throws {
        let host = AddressPort(.v4(IPv4Address(192, 0, 2, 77)), port: 53)
        let choice = DNSChoice(
            config(),
            own: try node(1, ["100.64.0.1"]),
            usesExitNode: false,
            exitNode: nil,
            rule: .host(resolvers: [host]),
            acceptsDNS: false
        )
        #expect(choice.resolvers == [.plain(host)] && choice.routes.isEmpty)
    }

    @Test func `a suffix whose resolvers nobody can use is forwarded in vain, and is no zone of ours`() throws {
        var config = DNSConfig()
        config.routes = ["tls.example": [DNSResolver(address: "tls://192.0.2.1")]]
        #expect(try choice(config, nil).routes[name("tls.example")] == [.unusable("tls://192.0.2.1")])
    }
}

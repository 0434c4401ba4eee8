import Coordination
import NetTypes
import Tailcfg
import Testing
import WarrenModel

@Suite("A policy applied to nodes", .timeLimit(.minutes(1)))
struct PolicyIndexTests {
    /// A person's laptop (1), a web server (2), a database (3) and a router with an exit (4).
    private struct House {
        let tailnet: TestTailnet
        var streams: [MapSubscription] = []
        var maps: [MapResponse] = []

        init(_ policy: String) async throws {
            tailnet = try await TestTailnet()
            try await tailnet.setPolicy(policy)
            var router = TestMachine("router")
            router.routes = ["10.1.0.0/16", "0.0.0.0/0", "::/0"]
            let machines = [
                (TestMachine("laptop"), []), (TestMachine("web"), ["tag:web"]), (TestMachine("db"), ["tag:db"]),
                (router, ["tag:router"]),
            ]
            for (machine, tags) in machines { streams.append(try await tailnet.join(machine, tags: tags)) }
            let routes = ["10.1.0.0/16", "0.0.0.0/0"].compactMap { IPPrefix($0) }
            _ = try await tailnet.registry.approveRoutes(routes, of: "router")
            for stream in streams { maps.append(try await tailnet.message(stream)) }
        }

        func peers(_ number: Int) -> [NodeID] { maps[number - 1].peers.map(\.id) }
        func filter(_ number: Int) -> [FilterRule] { (maps[number - 1].packetFilters["base"] ?? nil) ?? [] }
    }

    private static let tags = #""tagOwners": {"tag:web": [], "tag:db": [], "tag:router": []}"#

    @Test func `shows a node only those whom a grant connects with it`() async throws {
        let house = try await House(
            #"{\#(Self.tags), "grants": [{"src": ["tag:web"], "dst": ["tag:db"], "ip": ["tcp:5432"]}]}"#
        )
        #expect([1, 2, 3, 4].map(house.peers) == [[], [3], [2], []])
        #expect(house.filter(1).isEmpty && house.filter(2).isEmpty && house.filter(4).isEmpty)
        // An empty filter is said, because none at all means the same only by luck.
        #expect(house.maps[0].packetFilters["base"] != nil)
        let rule = try #require(house.filter(3).first)
        #expect(house.filter(3).count == 1 && rule.ipProtocols == [6])
        #expect(rule.sourceIPs == ["100.64.0.2", "fd7a:115c:a1e0::2"])
        #expect(rule.destinations.map(\.ip) == ["100.64.0.3", "fd7a:115c:a1e0::3"])
        #expect(rule.destinations.allSatisfy { $0.ports == PortRange(first: 5432, last: 5432) })
    }

    @Test func `a router's filter has what lies behind it, an exit node's the internet and not itself`() async throws {
        let house = try await House(
            #"""
            {\#(Self.tags), "hosts": {"printer": "10.1.2.3", "lan": "10.0.0.0/8"}, "grants": [
              {"src": ["tag:web"], "dst": ["printer"], "ip": ["631"]}, {"src": ["tag:db"], "dst": ["lan"], "ip": ["*"]},
              {"src": ["autogroup:member"], "dst": ["autogroup:internet"], "ip": ["*"]}]}
            """#
        )
        #expect([1, 2, 3, 4].map(house.peers) == [[4], [4], [4], [1, 2, 3]])
        let filter = house.filter(4)
        #expect(filter.count == 3 && [1, 2, 3].allSatisfy { house.filter($0).isEmpty })
        #expect(filter[0].destinations.map(\.ip).contains("10.1.2.3"))
        #expect(filter[1].destinations.map(\.ip).contains("10.1.0.0/16"))
        #expect(filter[2].sourceIPs == ["100.64.0.1", "fd7a:115c:a1e0::1"])
        #expect(!filter[2].destinations.contains { ["*", "0.0.0.0/0", "::/0"].contains($0.ip) })
        #expect(filter[2].destinations.map(\.ip) == InternetRanges.texts)
    }

    @Test func `gives capabilities without opening a way, and several protocols a rule each`() async throws {
        let house = try await House(
            #"""
            {\#(Self.tags), "grants": [
              {"src": ["tag:web"], "dst": ["tag:db"], "app": {"example.com/cap/sql": [{"role": "reader"}]}},
              {"src": ["*"], "dst": ["tag:web"], "ip": ["80", "443", "sctp:7", "gre:*"]}]}
            """#
        )
        let grant = try #require(house.filter(3).first)
        #expect(grant.destinations.isEmpty && house.filter(3).count == 1)
        #expect(grant.capabilityGrants.first?.destinations == ["100.64.0.3/32", "fd7a:115c:a1e0::3/128"])
        #expect(
            grant.capabilityGrants.first?.capabilityMap["example.com/cap/sql"]
                == [.object(["role": .string("reader")])]
        )
        let web = house.filter(2)
        #expect(web.map(\.ipProtocols) == [[], [132], [47]])
        #expect(web.allSatisfy { $0.sourceIPs == ["100.64.0.0/10", "fd7a:115c:a1e0::/48"] })
        #expect(web[0].destinations.map(\.ports.first) == [80, 443, 80, 443])
    }

    @Test func `own nodes are those of the user`() async throws {
        let house = try await House(
            #"{\#(Self.tags), "grants": [{"src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["*"]}]}"#
        )
        let phone = try await house.tailnet.settle(TestMachine("phone"))
        #expect(phone.1.peers.map(\.id) == [1])
        let news = try await house.tailnet.message(house.streams[0])
        #expect(news.peersChanged.map(\.id) == [5])
        #expect((news.packetFilters["base"] ?? nil)?.first?.sourceIPs.contains("100.64.0.5") == true)
        #expect(try await house.tailnet.messages(house.streams[1]).isEmpty)
    }

    @Test func `a changed policy costs each node only what differs for it`() async throws {
        let house = try await House(
            #"{\#(Self.tags), "grants": [{"src": ["tag:web"], "dst": ["tag:db"], "ip": ["tcp:5432"]}]}"#
        )
        try await house.tailnet.setPolicy(
            #"""
            {\#(Self.tags), "grants": [{"src": ["tag:web"], "dst": ["tag:db"], "ip": ["tcp:5432"]},
                                       {"src": ["autogroup:member"], "dst": ["tag:web"], "ip": ["tcp:22"]}]}
            """#
        )
        let laptop = try await house.tailnet.message(house.streams[0])
        #expect(laptop.peersChanged.map(\.id) == [2] && laptop.packetFilters.isEmpty && laptop.node == nil)
        #expect(laptop.userProfiles.map(\.id) == [2_147_455_555])
        let web = try await house.tailnet.message(house.streams[1])
        #expect(web.peersChanged.map(\.id) == [1] && (web.packetFilters["base"] ?? nil)?.count == 1 && web.node == nil)
        #expect(try await house.tailnet.messages(house.streams[2]).isEmpty)
        #expect(try await house.tailnet.messages(house.streams[3]).isEmpty)
        // Back to nothing: the peers go, and the filter is emptied, not left out.
        try await house.tailnet.setPolicy("{}")
        let bare = try await house.tailnet.message(house.streams[1])
        #expect(bare.peersRemoved == [1, 3] && bare.packetFilters == ["base": []])
        // And to everything: all come, whom one did not know.
        _ = try await house.tailnet.registry.setPolicy(GrantPolicy.allowAll.document, replacing: nil)
        let all = try await house.tailnet.message(house.streams[1])
        #expect(all.peersChanged.map(\.id) == [1, 3, 4] && all.peersRemoved.isEmpty)
        try await house.tailnet.setPolicy("{}")
        #expect(try await house.tailnet.message(house.streams[1]).peersRemoved == [1, 3, 4])
    }

    @Test func `what happens to a node is told to nobody who may not see it`() async throws {
        let house = try await House(
            #"{\#(Self.tags), "grants": [{"src": ["tag:web"], "dst": ["tag:db"], "ip": ["*"]}]}"#
        )
        for stream in [house.streams[3], house.streams[2]] { await house.tailnet.registry.closeStream(stream.id) }
        house.tailnet.time.advance(seconds: 10)
        _ = await house.tailnet.registry.tick()
        #expect(try await house.tailnet.messages(house.streams[0]).isEmpty)
        #expect(try await house.tailnet.message(house.streams[1]).peersChangedPatch.map(\.nodeID) == [3])
        try await house.tailnet.registry.removeNode("router")
        #expect(try await house.tailnet.messages(house.streams[1]).isEmpty)
        // New tags take a node out of sight, and the filters follow.
        var patch = PatchTailnetNodeRequest()
        patch.tags = ["tag:router"]
        _ = try await house.tailnet.registry.patchNode("db", patch)
        #expect(try await house.tailnet.message(house.streams[1]).peersRemoved == [3])
        patch.tags = ["tag:db"]
        _ = try await house.tailnet.registry.patchNode("db", patch)
        #expect(try await house.tailnet.message(house.streams[1]).peersChanged.map(\.id) == [3])
    }
}

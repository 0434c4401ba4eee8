import Coordination
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

@Suite("Routes", .timeLimit(.minutes(1)))
struct RouteTests {
    private func prefixes(_ texts: [String]) -> [IPPrefix] { texts.compactMap { IPPrefix($0) } }

    private func router(_ name: String, _ routes: [String]) -> TestMachine {
        var machine = TestMachine(name)
        machine.routes = routes
        return machine
    }

    @Test func `what is offered is shown, what is approved too is served`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        let (stream, first) = try await tailnet.settle(router("router", ["10.0.0.0/24", "10.9.0.0/24"]))
        let own = ["100.64.0.2/32", "fd7a:115c:a1e0::2/128"]
        #expect(first.node?.allowedIPs?.map(\.description) == own)
        let joined = try #require(try await tailnet.message(watcher).peersChanged.first)
        #expect(joined.allowedIPs?.map(\.description) == own && joined.hostinfo?.routableIPs.count == 2)
        _ = try await tailnet.registry.approveRoutes(prefixes(["10.0.0.0/24", "10.7.0.0/24"]), of: "router")
        for message in [try await tailnet.message(stream).node, try await tailnet.message(watcher).peersChanged.first] {
            #expect(message?.allowedIPs?.map(\.description) == own + ["10.0.0.0/24"])
            #expect(message?.primaryRoutes.map(\.description) == ["10.0.0.0/24"])
        }
        #expect(try await tailnet.messages(watcher).isEmpty)
        let sighting = try await tailnet.registry.node(named: "router")
        #expect(sighting.node.approvedRoutes.map(\.description) == ["10.0.0.0/24", "10.7.0.0/24"])
        _ = try await tailnet.registry.approveRoutes([], of: "2")
        #expect(try await tailnet.message(watcher).peersChanged.first?.allowedIPs?.map(\.description) == own)
    }

    @Test func `a route may be approved before it is offered`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        var machine = router("router", [])
        _ = try await tailnet.join(machine)
        _ = try await tailnet.registry.approveRoutes(prefixes(["10.0.0.0/24"]), of: "router")
        _ = try await tailnet.messages(watcher)
        machine.routes = ["10.0.0.0/24"]
        try await tailnet.registry.update(machine.update(), from: machine.machineKey)
        #expect(try await tailnet.message(watcher).peersChanged.first?.primaryRoutes.count == 1)
    }

    @Test func `the ways to the internet are approved together, and every exit node has them`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        for name in ["one", "two"] {
            _ = try await tailnet.join(router(name, ["0.0.0.0/0", "::/0"]))
            _ = try await tailnet.registry.approveRoutes(prefixes(["0.0.0.0/0"]), of: name)
        }
        _ = try await tailnet.join(router("half", ["0.0.0.0/0"]))
        _ = try await tailnet.registry.approveRoutes(prefixes(["::/0"]), of: "half")
        let peers = try await tailnet.message(watcher).peersChanged
        #expect(peers.map(\.isExitNodeCandidate) == [true, true, false])
        #expect(peers.allSatisfy { $0.primaryRoutes.isEmpty })
    }

    @Test func `one of two routers serves a prefix until it is gone for ten seconds`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        let one = router("one", ["10.0.0.0/24"])
        let first = try await tailnet.join(one)
        let second = try await tailnet.join(router("two", ["10.0.0.0/24"]))
        for name in ["two", "one"] {
            _ = try await tailnet.registry.approveRoutes(prefixes(["10.0.0.0/24"]), of: name)
        }
        func primaries() async -> [String] {
            await tailnet.registry.nodes().filter { !$0.node.primaryRoutes.isEmpty }.map(\.node.givenName)
        }
        #expect(await primaries() == ["two"])
        _ = try await tailnet.messages(watcher)
        await tailnet.registry.closeStream(second.id)
        tailnet.time.advance(seconds: 9)
        _ = await tailnet.registry.tick()
        #expect(await primaries() == ["two"])
        tailnet.time.advance(seconds: 1)
        _ = await tailnet.registry.tick()
        #expect(await primaries() == ["one"])
        let moved = try await tailnet.message(watcher).peersChanged
        #expect(moved.map { $0.primaryRoutes.count } == [1, 0] && moved.map(\.online) == [true, false])
        // The last one standing keeps the route though it is away, until another is there.
        await tailnet.registry.closeStream(first.id)
        tailnet.time.advance(seconds: 10)
        _ = await tailnet.registry.tick()
        #expect(await primaries() == ["one"])
        _ = try await tailnet.registry.expireNode("one")
        #expect(await primaries() == ["two"])
    }

    @Test func `the choice outlives a restart`() async throws {
        let persistence = MemoryPersistence()
        let before = try await TestTailnet(persistence: persistence)
        for name in ["one", "two"] { _ = try await before.join(router(name, ["10.0.0.0/24"])) }
        for name in ["two", "one"] {
            _ = try await before.registry.approveRoutes(prefixes(["10.0.0.0/24"]), of: name)
        }
        _ = await before.registry.tick()
        let after = try await TestTailnet(persistence: persistence)
        _ = try await after.join(TestMachine("web"))
        #expect(await after.registry.nodes().map(\.node.primaryRoutes.count) == [0, 1, 0])
    }

    @Test func `the policy approves routes when they are offered, 4via6 included`() async throws {
        let tailnet = try await TestTailnet()
        try await tailnet.setPolicy(
            #"""
            {"tagOwners": {"tag:router": []}, "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}],
             "autoApprovers": {"routes": {"10.0.0.0/8": ["tag:router"], "fd7a:115c:a1e0:b1a::/64": ["tag:router"]},
                               "exitNode": ["autogroup:member"]}}
            """#
        )
        let via = "fd7a:115c:a1e0:b1a:0:7:a01:0/112"
        let tagged = try await tailnet.join(
            router("router", ["10.1.0.0/16", "192.168.0.0/16", "0.0.0.0/0", "::/0", via]),
            tags: ["tag:router"]
        )
        let own = try #require(try await tailnet.message(tagged).node)
        #expect(Set(own.primaryRoutes.map(\.description)) == ["10.1.0.0/16", via] && !own.isExitNodeCandidate)
        let (_, exit) = try await tailnet.settle(router("exit", ["0.0.0.0/0", "::/0", "10.2.0.0/16"]))
        #expect(exit.node?.isExitNodeCandidate == true && exit.node?.primaryRoutes.isEmpty == true)
    }

    @Test(arguments: [
        "100.64.0.0/24", "100.64.0.9/32", "fd7a:115c:a1e0::/64", "224.0.0.0/4", "127.0.0.0/8", "fe80::/10",
    ])
    func `nobody may serve the tailnet's own addresses`(_ text: String) throws {
        let failure = try #require(throws: ValidationFailure.self) {
            try ApproveRoutesRequest(.object(["approved": .array([.string(text)])]))
        }
        #expect(failure.errors.map(\.code) == [.refused] && failure.errors.map(\.pointer) == ["/approved/0"])
    }

    @Test func `a removed router gives its routes to the other`() async throws {
        let tailnet = try await TestTailnet()
        for name in ["one", "two"] {
            _ = try await tailnet.join(router(name, ["10.0.0.0/24"]))
            _ = try await tailnet.registry.approveRoutes(prefixes(["10.0.0.0/24"]), of: name)
        }
        try await tailnet.registry.removeNode("one")
        #expect(await tailnet.registry.nodes().map(\.node.primaryRoutes.count) == [1])
    }
}

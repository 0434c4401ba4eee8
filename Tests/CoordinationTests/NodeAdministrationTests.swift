import Coordination
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

@Suite("Administration of nodes", .timeLimit(.minutes(1)))
struct NodeAdministrationTests {
    private func patch(_ text: String) throws -> PatchTailnetNodeRequest {
        try PatchTailnetNodeRequest(try JSONTree(parsing: Array(text.utf8)))
    }

    @Test func `a name set by an administrator sticks, and may not be taken`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        var web = TestMachine("web")
        let (stream, _) = try await tailnet.settle(web)
        _ = try await tailnet.messages(watcher)
        _ = try await tailnet.registry.patchNode("web", try patch(#"{"name": "shop"}"#))
        let own = try await tailnet.message(stream)
        #expect(own.node?.name == "shop.warren.internal." && own.packetFilters.isEmpty && own.dnsConfig == nil)
        #expect(try await tailnet.message(watcher).peersChanged.map(\.name) == ["shop.warren.internal."])
        web.hostname = "other"
        try await tailnet.registry.update(web.update(), from: web.machineKey)
        #expect(try await tailnet.registry.node(named: "2").node.givenName == "shop")
        let taken = try patch(#"{"name": "watcher"}"#)
        await #expect(throws: CoordinationError.nodeNameTaken("watcher")) {
            try await tailnet.registry.patchNode("shop", taken)
        }
        #expect(throws: ValidationFailure.self) { try patch(#"{"name": "localhost"}"#) }
        #expect(throws: ValidationFailure.self) { try patch(#"{"name": "no dots.here"}"#) }
        _ = try await tailnet.registry.patchNode("shop", try patch(#"{"name": null}"#))
        #expect(try await tailnet.registry.node(named: "2").node.givenName == "other")
    }

    @Test func `tags change the owner and end the expiry, id and addresses stay`() async throws {
        let tailnet = try await TestTailnet(rules: TailnetRules(nodeKeyLifetimeSeconds: 1000))
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        let (stream, first) = try await tailnet.settle(TestMachine("web"))
        _ = try await tailnet.messages(watcher)
        #expect(first.node?.keyExpiry == tailnet.time.now.adding(seconds: 1000))
        _ = try await tailnet.registry.patchNode("web", try patch(#"{"tags": ["tag:ci"]}"#))
        let own = try #require(try await tailnet.message(stream).node)
        #expect(own.tags == ["tag:ci"] && own.user == 2_147_455_555 && own.keyExpiry.isZero)
        #expect(own.id == 2 && own.addresses == first.node?.addresses)
        let message = try await tailnet.message(watcher)
        #expect(message.peersChanged.map(\.user) == [2_147_455_555])
        #expect(message.userProfiles.map(\.loginName) == ["tagged-devices"])
        #expect(throws: ValidationFailure.self) { try patch(#"{"tags": ["ci"]}"#) }
        let later = "2030-01-01T00:00:00Z"
        let refusal = try patch(#"{"keyExpiry": "\#(later)"}"#)
        await #expect(throws: ValidationFailure.self) { try await tailnet.registry.patchNode("web", refusal) }
        _ = try await tailnet.registry.patchNode("web", try patch(#"{"tags": []}"#))
        let back = try #require(try await tailnet.message(stream).node)
        #expect(back.user == 1 && back.keyExpiry == tailnet.time.now.adding(seconds: 1000))
    }

    @Test func `an end that is still to come is a patch, never is a whole node`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        let (stream, _) = try await tailnet.settle(TestMachine("web"))
        _ = try await tailnet.messages(watcher)
        _ = try await tailnet.registry.patchNode("web", try patch(#"{"keyExpiry": "2030-01-01T00:00:00Z"}"#))
        let patched = try await tailnet.message(watcher)
        #expect(patched.peersChangedPatch.first?.keyExpiry == ControlTime("2030-01-01T00:00:00Z"))
        #expect(patched.peersChanged.isEmpty)
        #expect(try await tailnet.message(stream).node?.keyExpiry == ControlTime("2030-01-01T00:00:00Z"))
        _ = try await tailnet.registry.patchNode("web", try patch(#"{"keyExpiry": null}"#))
        #expect(try await tailnet.message(watcher).peersChanged.first?.keyExpiry.isZero == true)
        let past = try patch(#"{"keyExpiry": "2020-01-01T00:00:00Z"}"#)
        await #expect(throws: ValidationFailure.self) { try await tailnet.registry.patchNode("web", past) }
    }

    @Test func `an administrator ends a key, and takes that back`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        let web = TestMachine("web")
        let (stream, _) = try await tailnet.settle(web)
        _ = try await tailnet.messages(watcher)
        #expect(try await tailnet.registry.expireNode("web").isExpired)
        let own = try #require(try await tailnet.message(stream).node)
        #expect(own.expired && own.keyExpiry == tailnet.time.now)
        #expect(try await tailnet.message(watcher).peersChanged.map(\.expired) == [true])
        #expect(!tailnet.registry.admittedKeys.contains(web.nodeKey))
        _ = try await tailnet.registry.patchNode("web", try patch(#"{"keyExpiry": null}"#))
        #expect(try await tailnet.message(watcher).peersChanged.map(\.expired) == [false])
        #expect(tailnet.registry.admittedKeys.contains(web.nodeKey))
        tailnet.time.advance(seconds: 10)
        #expect(await tailnet.registry.tick().isEmpty)
    }

    @Test func `where devices are approved, a new one waits unseen until it is`() async throws {
        var rules = TailnetRules()
        rules.approvesDevices = true
        let tailnet = try await TestTailnet(rules: rules)
        let first = TestMachine("first")
        let key = try await tailnet.authKey(preapproved: true)
        #expect(try await tailnet.register(first.registration(authKey: key), as: first).machineAuthorized)
        try await tailnet.registry.update(first.update(), from: first.machineKey)
        let watcher = try await tailnet.registry.openStream(first.poll(), from: first.machineKey) {}
        _ = try await tailnet.messages(watcher)

        let web = TestMachine("web")
        let answer = try await tailnet.register(
            web.registration(authKey: try await tailnet.authKey()),
            as: web
        )
        #expect(!answer.machineAuthorized && !answer.nodeKeyExpired && answer.user.id == 1 && answer.error.isEmpty)
        try await tailnet.registry.update(web.update(), from: web.machineKey)
        let stream = try await tailnet.registry.openStream(web.poll(), from: web.machineKey) {}
        let map = try await tailnet.message(stream)
        #expect(map.node?.machineAuthorized == false && map.peers.isEmpty && map.packetFilters == ["base": []])
        #expect(try await tailnet.messages(watcher).isEmpty)
        #expect(!tailnet.registry.admittedKeys.contains(web.nodeKey))

        _ = try await tailnet.registry.approveNode("web")
        let own = try await tailnet.message(stream)
        #expect(own.node?.machineAuthorized == true && own.peersChanged.map(\.id) == [1])
        #expect((own.packetFilters["base"] ?? nil)?.isEmpty == false)
        #expect(try await tailnet.message(watcher).peersChanged.map(\.id) == [2])
        #expect(tailnet.registry.admittedKeys.contains(web.nodeKey))
        #expect(try await tailnet.register(web.registration(), as: web).machineAuthorized)

        _ = try await tailnet.registry.patchNode("web", try patch(#"{"approved": false}"#))
        #expect(try await tailnet.message(watcher).peersRemoved == [2])
        let out = try await tailnet.message(stream)
        #expect(out.node?.machineAuthorized == false && out.peersRemoved == [1] && out.packetFilters == ["base": []])
        #expect(!tailnet.registry.admittedKeys.contains(web.nodeKey))
    }

    @Test func `whoever approves a login approves the device`() async throws {
        var rules = TailnetRules()
        rules.approvesDevices = true
        let tailnet = try await TestTailnet(rules: rules)
        let web = TestMachine("web")
        _ = try await tailnet.register(web.registration(), as: web)
        try await tailnet.registry.approveLogin(try #require(await tailnet.registry.openLogins().first).id)
        #expect(try await tailnet.register(web.registration(), as: web).machineAuthorized)
    }

    @Test func `tags are asked for while connected, and had only when the policy permits`() async throws {
        let tailnet = try await TestTailnet()
        try await tailnet.setPolicy(
            #"""
            {"tagOwners": {"tag:ci": ["autogroup:member"], "tag:sub": ["tag:ci"], "tag:prod": []},
             "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}
            """#
        )
        var web = TestMachine("web")
        _ = try await tailnet.settle(web)
        func ask(_ tags: [String]) async throws -> [String] {
            web.tags = tags
            try await tailnet.registry.update(web.update(), from: web.machineKey)
            return try await tailnet.registry.node(named: "1").node.tags
        }
        #expect(try await ask(["tag:prod"]) == [])
        #expect(try await ask(["tag:ci", "tag:ci"]) == ["tag:ci"])
        #expect(try await ask([]) == ["tag:ci"])
        #expect(try await ask(["tag:prod"]) == ["tag:ci"])
        #expect(try await ask(["tag:sub"]) == ["tag:sub"])
        // A login by the user that asks for none gives the node back, under its old id and addresses.
        let old = web.nodeKey
        web.nodeKey = NodePrivateKey().publicKey
        web.tags = []
        var request = web.registration(authKey: try await tailnet.authKey())
        request.oldNodeKey = old
        #expect(try await tailnet.register(request, as: web).user.id == 1)
        let node = try #require(await tailnet.registry.nodes().first?.node)
        #expect(await tailnet.registry.nodes().count == 1)
        #expect(node.tags == [] && node.user == 1 && node.id == 1 && node.ipv4.description == "100.64.0.1")
        // And one that asks for a tag it may have gets it.
        var other = TestMachine("other")
        other.tags = ["tag:ci"]
        let answer = try await tailnet.register(other.registration(authKey: try await tailnet.authKey()), as: other)
        #expect(answer.login.loginName == "tagged-devices")
    }

    @Test func `policy and DNS outlive a restart, and a refused write leaves the old ones`() async throws {
        let persistence = MemoryPersistence()
        let before = try await TestTailnet(persistence: persistence)
        let (stream, _) = try await before.settle(TestMachine("web"))
        try await before.setPolicy(#"{"hosts": {"db": "10.0.0.1"}}"#)
        try await before.registry.setDNS(TailnetDNS(magicDNS: false, routes: ["corp.example": ["10.0.0.53"]]))
        let message = try await before.message(stream)
        #expect(message.dnsConfig?.proxied == false && message.dnsConfig?.routes["corp.example"]??.count == 1)
        #expect(message.dnsConfig?.domains == [] && message.dnsConfig?.routes["warren.internal"] == .some([]))
        let revision = await before.registry.policy().revision
        await #expect(throws: CoordinationError.policyChanged) {
            try await before.registry.setPolicy([:], replacing: revision - 1)
        }
        await persistence.failNext(1)
        await #expect(throws: MemoryPersistence.Failure.self) {
            try await before.registry.setPolicy([:], replacing: revision)
        }
        #expect(await before.registry.policy().document["hosts"] != nil)
        _ = await before.registry.tick()
        let after = try await TestTailnet(persistence: persistence)
        #expect(await after.registry.policy().document["hosts"] != nil)
        #expect(await after.registry.dns().magicDNS == false)
        try await after.registry.setDNS(nil)
        #expect(await after.registry.dns() == TailnetDNS())
        let last = try await TestTailnet(persistence: persistence)
        #expect(await last.registry.dns() == TailnetDNS())
    }

    @Test func `keys tell how often and by whom they were used`() async throws {
        let tailnet = try await TestTailnet()
        let reusable = try await tailnet.authKey(reusable: true)
        let single = try await tailnet.authKey()
        for name in ["a", "b"] {
            let machine = TestMachine(name)
            _ = try await tailnet.register(machine.registration(authKey: reusable), as: machine)
        }
        var machine = TestMachine("c")
        for _ in 0..<3 {
            machine.nodeKey = NodePrivateKey().publicKey
            _ = try await tailnet.register(machine.registration(authKey: single), as: machine)
        }
        let keys = await tailnet.registry.authKeys()
        #expect(Set(keys.map(\.useCount)) == [1, 2] && Set(keys.compactMap(\.use?.node)) == [1, 3])
    }

    @Test func `in a small range a freed address rests through a restart`() async throws {
        let persistence = MemoryPersistence()
        let range = try #require(IPPrefix("100.64.0.0/30"))
        let rules = TailnetRules(ipv4Range: range)
        let before = try await TestTailnet(persistence: persistence, rules: rules)
        for name in ["a", "b"] { _ = try await before.join(TestMachine(name)) }
        try await before.registry.removeNode("a")
        let after = try await TestTailnet(persistence: persistence, rules: rules)
        await #expect(throws: CoordinationError.addressesExhausted) { _ = try await after.join(TestMachine("c")) }
        after.time.advance(seconds: 86_400)
        _ = try await after.join(TestMachine("d"))
        #expect(await after.registry.nodes().map(\.node.ipv4.description) == ["100.64.0.2", "100.64.0.1"])
    }
}

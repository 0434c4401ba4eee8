import Coordination
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto

@Suite("NodeRegistry", .timeLimit(.minutes(1)))
struct NodeRegistryTests {
    @Test func `the first message has all that a client needs to run`() async throws {
        let tailnet = try await TestTailnet()
        let web = TestMachine("web")
        let stream = try await tailnet.join(web)
        let full = try #require(try await tailnet.messages(stream).first)
        let node = try #require(full.node)
        #expect(node.name == "web.warren.internal." && node.machineAuthorized && node.online == true)
        #expect(node.addresses.map(\.description) == ["100.64.0.1/32", "fd7a:115c:a1e0::1/128"])
        #expect(node.stableID == "n1" && node.user == 1 && node.key == web.nodeKey)
        #expect(full.peers.isEmpty && full.derpMap != nil && full.collectServices == false)
        #expect(full.dnsConfig?.domains == ["warren.internal"] && full.dnsConfig?.routes == ["warren.internal": []])
        #expect(full.packetFilters["base"]??.isEmpty == false)
        #expect(full.userProfiles.map(\.id) == [1] && full.domain == "warren.internal")
        #expect(full.debug?.disableLogTail == true && full.controlTime == tailnet.time.now)
        #expect(try await tailnet.messages(stream).isEmpty)
    }

    @Test func `peers hear of a joining node, its endpoints, its way off and back`() async throws {
        let tailnet = try await TestTailnet()
        let registry = tailnet.registry
        let webStream = try await tailnet.join(TestMachine("web"))
        _ = try await tailnet.messages(webStream)

        let db = TestMachine("db")
        let dbStream = try await tailnet.join(db)
        let joined = try await tailnet.messages(webStream)
        let peer = try #require(joined.first?.peersChanged.first)
        #expect(peer.name == "db.warren.internal." && peer.hostinfo?.hostname == "db" && peer.online == true)
        #expect(peer.hostinfo?.backendLogID == "" && joined.count == 1)

        let endpoint = try #require(AddressPort("192.0.2.1:41641"))
        try await registry.update(db.update(endpoints: [endpoint], homeDERP: 900), from: db.machineKey)
        let patch = try #require(try await tailnet.messages(webStream).first?.peersChangedPatch.first)
        #expect(patch.endpoints == [endpoint] && patch.derpRegion == 900 && patch.key == nil)
        // The same again says nothing; findings that are left out stay.
        try await registry.update(db.update(), from: db.machineKey)
        #expect(try await tailnet.messages(webStream).isEmpty)

        await registry.closeStream(dbStream.id)
        tailnet.time.advance(seconds: 9)
        _ = await registry.tick()
        #expect(try await tailnet.messages(webStream).isEmpty)
        tailnet.time.advance(seconds: 1)
        _ = await registry.tick()
        let offline = try #require(try await tailnet.messages(webStream).first?.peersChangedPatch.first)
        #expect(offline.online == false && offline.lastSeen == ManualTime.start)

        _ = try await registry.openStream(db.poll(), from: db.machineKey) {}
        let online = try #require(try await tailnet.messages(webStream).first?.peersChangedPatch.first)
        #expect(online.online == true && online.endpoints == [endpoint] && online.derpRegion == 900)
        #expect(online.discoKey == db.discoKey && online.lastSeen == nil)
    }

    @Test func `a new stream replaces the old one without an offline event`() async throws {
        let tailnet = try await TestTailnet()
        let watcher = try await tailnet.join(TestMachine("watcher"))
        let web = TestMachine("web")
        let first = try await tailnet.join(web)
        _ = try await tailnet.messages(watcher)
        let second = try await tailnet.registry.openStream(web.poll(), from: web.machineKey) {}
        guard case .end(let farewell) = await tailnet.registry.work(for: first.id) else { throw UnexpectedAnswer() }
        #expect(farewell.isEmpty)
        await tailnet.registry.closeStream(first.id)
        tailnet.time.advance(seconds: 60)
        _ = await tailnet.registry.tick()
        #expect(try await tailnet.messages(second).first?.node != nil)
        #expect(try await tailnet.messages(watcher).isEmpty)
    }

    @Test func `map requests of unknown and foreign keys look alike`() async throws {
        let tailnet = try await TestTailnet()
        let web = TestMachine("web")
        _ = try await tailnet.join(web)
        let stranger = TestMachine("stranger")
        await #expect(throws: MapRefusal.nodeNotFound) {
            try await tailnet.registry.update(web.update(), from: stranger.machineKey)
        }
        await #expect(throws: MapRefusal.nodeNotFound) {
            try await tailnet.registry.update(stranger.update(), from: stranger.machineKey)
        }
        var old = web.update()
        old.version = 100
        await #expect(throws: MapRefusal.unsupportedVersion("unsupported client version 100; need 1.82 or newer")) {
            try await tailnet.registry.update(old, from: web.machineKey)
        }
    }

    @Test func `a lost answer to a single-use key costs nothing`() async throws {
        let tailnet = try await TestTailnet()
        let key = try await tailnet.authKey()
        var web = TestMachine("web")
        for _ in 0..<10 {
            web.nodeKey = NodePrivateKey().publicKey
            let response = try await tailnet.register(web.registration(authKey: key), as: web)
            #expect(response.machineAuthorized && response.login.loginName == "admin@warren.internal")
        }
        #expect(await tailnet.registry.nodes().count == 1)
        let other = TestMachine("other")
        #expect(
            try await tailnet.register(other.registration(authKey: key), as: other).error == "auth key already used"
        )
    }

    @Test func `registering too often is answered with a time to wait`() async throws {
        let tailnet = try await TestTailnet()
        let web = TestMachine("web")
        let request = web.registration(authKey: "nonsense")
        for _ in 0..<20 { _ = try await tailnet.register(request, as: web) }
        guard
            case .tooMany(let seconds) = try await tailnet.registry.register(
                request,
                from: web.machineKey,
                remoteAddress: nil
            )
        else { throw UnexpectedAnswer() }
        #expect((1...6).contains(seconds))
        tailnet.time.advance(seconds: 6)
        #expect(try await tailnet.register(request, as: web).error == "invalid auth key")
    }

    @Test func `logout ends the key, tells the peers and keeps the node`() async throws {
        let tailnet = try await TestTailnet()
        let watcher = try await tailnet.join(TestMachine("watcher"))
        let web = TestMachine("web")
        _ = try await tailnet.join(web)
        _ = try await tailnet.messages(watcher)
        #expect(tailnet.registry.admittedKeys.contains(web.nodeKey))
        var request = web.registration()
        request.expiry = RegisterRequest.logoutExpiry
        let answer = try await tailnet.register(request, as: web)
        #expect(answer.nodeKeyExpired && !answer.machineAuthorized)
        #expect(!tailnet.registry.admittedKeys.contains(web.nodeKey))
        let peer = try #require(try await tailnet.messages(watcher).first?.peersChanged.first)
        #expect(peer.expired && peer.keyExpiry == tailnet.time.now)
        tailnet.time.advance(seconds: 1)
        #expect(try await tailnet.register(web.registration(), as: web).nodeKeyExpired)
        #expect(await tailnet.registry.nodes().count == 2)
        // A new key and an auth key bring the same node back.
        var renewed = web
        renewed.nodeKey = NodePrivateKey().publicKey
        let key = try await tailnet.authKey()
        #expect(try await tailnet.register(renewed.registration(authKey: key), as: renewed).machineAuthorized)
        let back = try #require(try await tailnet.messages(watcher).first?.peersChanged.first)
        #expect(!back.expired && back.keyExpiry.isZero && back.key == renewed.nodeKey && back.id == peer.id)
    }

    @Test func `ephemeral nodes go at logout, and five minutes after their last stream`() async throws {
        let tailnet = try await TestTailnet()
        let watcher = try await tailnet.join(TestMachine("watcher"))
        let first = TestMachine("job")
        let second = TestMachine("job")
        _ = try await tailnet.join(first, ephemeral: true)
        let stream = try await tailnet.join(second, ephemeral: true)
        #expect(await tailnet.registry.nodes().map(\.node.givenName) == ["watcher", "job", "job-1"])
        _ = try await tailnet.messages(watcher)
        var request = first.registration()
        request.expiry = RegisterRequest.logoutExpiry
        _ = try await tailnet.register(request, as: first)
        #expect(try await tailnet.messages(watcher).first?.peersRemoved == [2])
        await tailnet.registry.closeStream(stream.id)
        tailnet.time.advance(seconds: 299)
        _ = await tailnet.registry.tick()
        #expect(await tailnet.registry.nodes().count == 2)
        tailnet.time.advance(seconds: 1)
        _ = await tailnet.registry.tick()
        #expect(await tailnet.registry.nodes().count == 1)
        #expect(try await tailnet.messages(watcher).first?.peersRemoved == [3])
    }

    @Test func `a removed node hears that its key has ended, then nothing`() async throws {
        let tailnet = try await TestTailnet()
        let watcher = try await tailnet.join(TestMachine("watcher"))
        let web = TestMachine("web")
        let stream = try await tailnet.join(web)
        _ = try await tailnet.messages(watcher)
        _ = try await tailnet.messages(stream)
        try await tailnet.registry.removeNode("web")
        guard case .end(let farewell) = await tailnet.registry.work(for: stream.id) else { throw UnexpectedAnswer() }
        let node = try #require(farewell.first?.node)
        #expect(node.expired && node.keyExpiry < tailnet.time.now && node.id == 2)
        #expect(try await tailnet.messages(watcher).first?.peersRemoved == [2])
        await #expect(throws: MapRefusal.nodeNotFound) {
            try await tailnet.registry.update(web.update(), from: web.machineKey)
        }
        let answer = try await tailnet.register(web.registration(), as: web)
        #expect(answer.authURL.hasPrefix("http://control.test/login/"))
        // The relay is told only when the farewell had time to arrive.
        #expect(await tailnet.registry.tick().isEmpty)
        tailnet.time.advance(seconds: 5)
        #expect(await tailnet.registry.tick() == [web.nodeKey])
        await #expect(throws: CoordinationError.nodeNotFound) { try await tailnet.registry.removeNode("2") }
    }

    @Test func `keys end by the clock, and everyone hears of it`() async throws {
        let tailnet = try await TestTailnet(rules: TailnetRules(nodeKeyLifetimeSeconds: 100))
        let watcher = try await tailnet.join(TestMachine("watcher"))
        tailnet.time.advance(seconds: 50)
        let web = TestMachine("web")
        _ = try await tailnet.join(web)
        _ = try await tailnet.messages(watcher)
        tailnet.time.advance(seconds: 50)
        _ = await tailnet.registry.tick()
        let own = try #require(try await tailnet.messages(watcher).first?.node)
        #expect(own.expired && own.id == 1)
        #expect(tailnet.registry.admittedKeys.contains(web.nodeKey))
        // An expired node still gets its map.
        tailnet.time.advance(seconds: 50)
        let stream = try await tailnet.registry.openStream(web.poll(), from: web.machineKey) {}
        #expect(try await tailnet.messages(stream).first?.node?.expired == true)
    }

    @Test func `a waiting follow-up is answered by approval, refusal and time`() async throws {
        let tailnet = try await TestTailnet()
        let registry = tailnet.registry
        let web = TestMachine("web")
        let url = try await tailnet.register(web.registration(), as: web).authURL
        #expect(try await tailnet.register(web.registration(), as: web).authURL == url)
        let followup = web.registration(followup: url)
        guard
            case .wait(let waiter) = try await registry.register(
                followup,
                from: web.machineKey,
                remoteAddress: nil
            )
        else { throw UnexpectedAnswer() }
        let login = try #require(await registry.openLogins().first)
        #expect(url.hasSuffix(login.id) && login.request.hostinfo?.hostname == "web")

        tailnet.time.advance(seconds: 300)
        _ = await registry.tick()
        var outcomes = waiter.outcome.makeAsyncIterator()
        let pending = await outcomes.next()
        #expect(pending == .stillPending)
        guard
            case .respond(let same)? = try await registry.finish(
                waiter,
                pending,
                request: followup,
                from: web.machineKey,
                remoteAddress: nil
            )
        else { throw UnexpectedAnswer() }
        #expect(same.authURL == url)

        guard
            case .wait(let second) = try await registry.register(
                followup,
                from: web.machineKey,
                remoteAddress: nil
            )
        else { throw UnexpectedAnswer() }
        try await registry.approveLogin(login.id)
        outcomes = second.outcome.makeAsyncIterator()
        let approved = await outcomes.next()
        #expect(approved == .approved)
        guard
            case .respond(let done)? = try await registry.finish(
                second,
                approved,
                request: followup,
                from: web.machineKey,
                remoteAddress: nil
            )
        else { throw UnexpectedAnswer() }
        #expect(done.machineAuthorized && done.authURL.isEmpty && done.user.id == 1)
        // The waiting answer may have been lost: the same follow-up still succeeds.
        #expect(try await tailnet.register(followup, as: web).machineAuthorized)
        #expect(await registry.openLogins().isEmpty)

        let other = TestMachine("other")
        let otherURL = try await tailnet.register(other.registration(), as: other).authURL
        let otherLogin = try #require(await registry.openLogins().first)
        try await registry.rejectLogin(otherLogin.id)
        let refused = try await tailnet.register(other.registration(followup: otherURL), as: other)
        #expect(refused.error == "login rejected")
        #expect(try await tailnet.register(other.registration(), as: other).authURL != otherURL)
    }

    @Test func `a restart keeps keys, names, addresses and who was online`() async throws {
        let persistence = MemoryPersistence()
        let before = try await TestTailnet(persistence: persistence)
        let web = TestMachine("web")
        _ = try await before.join(web)
        _ = await before.registry.tick()
        let after = try await TestTailnet(persistence: persistence)
        let node = try #require(await after.registry.nodes().first)
        #expect(node.node.ipv4.description == "100.64.0.1" && node.dnsName == "web.warren.internal." && node.isOnline)
        #expect(after.registry.admittedKeys.contains(web.nodeKey))
        #expect(try await after.register(web.registration(), as: web).machineAuthorized)
        let db = TestMachine("db")
        let stream = try await after.join(db)
        let full = try #require(try await after.messages(stream).first)
        #expect(full.node?.addresses.first?.description == "100.64.0.2/32")
        #expect(full.peers.map(\.online) == [true] && full.peers.map(\.discoKey) == [web.discoKey])
        after.time.advance(seconds: 60)
        _ = await after.registry.tick()
        #expect(try await after.messages(stream).first?.peersChangedPatch.first?.online == false)
    }

    @Test func `what could not be written is written later, and the client is not told before`() async throws {
        let tailnet = try await TestTailnet()
        let key = try await tailnet.authKey()
        let web = TestMachine("web")
        await tailnet.persistence.failNext(1)
        await #expect(throws: MemoryPersistence.Failure.self) {
            try await tailnet.register(web.registration(authKey: key), as: web)
        }
        #expect(try await tailnet.register(web.registration(authKey: key), as: web).machineAuthorized)
        #expect(await tailnet.persistence.loadSnapshot().nodes.count == 1)
    }

    @Test func `silence is broken by keep-alives`() async throws {
        let tailnet = try await TestTailnet()
        let stream = try await tailnet.join(TestMachine("web"))
        _ = try await tailnet.messages(stream)
        tailnet.time.advance(seconds: 49)
        guard case .wait = await tailnet.registry.work(for: stream.id) else { throw UnexpectedAnswer() }
        tailnet.time.advance(seconds: 9)
        guard case .keepAlive = await tailnet.registry.work(for: stream.id) else { throw UnexpectedAnswer() }
    }

    @Test func `endpoints that help nobody are left out`() async throws {
        let tailnet = try await TestTailnet()
        let watcher = try await tailnet.join(TestMachine("watcher"))
        let web = TestMachine("web")
        _ = try await tailnet.join(web)
        _ = try await tailnet.messages(watcher)
        let texts = [
            "[fe80::1]:1", "192.0.2.1:0", "127.0.0.1:5", "192.0.2.1:5", "192.0.2.1:5", "224.0.0.1:5", "0.0.0.0:5",
        ]
        try await tailnet.registry.update(
            web.update(endpoints: texts.compactMap { AddressPort($0) }),
            from: web.machineKey
        )
        let patch = try #require(try await tailnet.messages(watcher).first?.peersChangedPatch.first)
        #expect(patch.endpoints?.map(\.description) == ["192.0.2.1:5"])
    }

    @Test func `a new host name renames, with a number when it is taken`() async throws {
        let tailnet = try await TestTailnet()
        let watcher = try await tailnet.join(TestMachine("web"))
        var db = TestMachine("db")
        let stream = try await tailnet.join(db)
        _ = try await tailnet.messages(watcher)
        _ = try await tailnet.messages(stream)
        db.hostname = "Web.local"
        try await tailnet.registry.update(db.update(), from: db.machineKey)
        #expect(try await tailnet.messages(watcher).first?.peersChanged.first?.name == "web-1.warren.internal.")
        #expect(try await tailnet.messages(stream).first?.node?.name == "web-1.warren.internal.")
    }
}

import Coordination
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto

@Suite("State updates of clients", .timeLimit(.minutes(1)))
struct StateUpdateTests {
    @Test func `what an update leaves out stays as it was`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        let web = TestMachine("web")
        _ = try await tailnet.join(web)
        let endpoint = try #require(AddressPort("192.0.2.1:41641"))
        try await tailnet.registry.update(web.update(endpoints: [endpoint], homeDERP: 900), from: web.machineKey)
        _ = try await tailnet.messages(watcher)
        // The first updates after a start have neither endpoints nor NetInfo, and later ones may not know the home region.
        try await tailnet.registry.update(web.update(), from: web.machineKey)
        try await tailnet.registry.update(web.update(endpoints: []), from: web.machineKey)
        try await tailnet.registry.update(web.update(homeDERP: 0), from: web.machineKey)
        #expect(try await tailnet.messages(watcher).isEmpty)
        let node = try await tailnet.registry.node(named: "web").node
        #expect(node.endpoints == [endpoint] && node.homeDERP == 900 && node.hostinfo.netInfo?.preferredDERP == 900)
    }

    @Test func `no more than 64 endpoints are kept, in their order`() async throws {
        let tailnet = try await TestTailnet()
        let web = TestMachine("web")
        _ = try await tailnet.join(web)
        let endpoints = (1...100).compactMap { AddressPort("192.0.2.\($0):41641") }
        try await tailnet.registry.update(web.update(endpoints: endpoints), from: web.machineKey)
        #expect(try await tailnet.registry.node(named: "web").node.endpoints == Array(endpoints.prefix(64)))
    }

    @Test func `loopback alone is kept, for want of better`() async throws {
        let tailnet = try await TestTailnet()
        let web = TestMachine("web")
        _ = try await tailnet.join(web)
        let endpoints = ["127.0.0.1:5", "[fe80::1]:6"].compactMap { AddressPort($0) }
        try await tailnet.registry.update(web.update(endpoints: endpoints), from: web.machineKey)
        #expect(try await tailnet.registry.node(named: "web").node.endpoints.map(\.description) == ["127.0.0.1:5"])
    }

    @Test func `a poll's findings are older than the last update, and read-only ones are none`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        var web = TestMachine("web")
        _ = try await tailnet.join(web)
        _ = try await tailnet.messages(watcher)
        let discoKey = web.discoKey
        web.hostname = "stale"
        web.discoKey = DiscoPrivateKey().publicKey
        _ = try await tailnet.registry.openStream(web.poll(), from: web.machineKey) {}
        var update = web.update()
        update.readOnly = true
        try await tailnet.registry.update(update, from: web.machineKey)
        #expect(try await tailnet.messages(watcher).isEmpty)
        let node = try await tailnet.registry.node(named: "web").node
        #expect(node.discoKey == discoKey && node.hostinfo.hostname == "web")
    }

    @Test func `peers see of Hostinfo what they need, and a change of the rest costs nothing`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        let web = TestMachine("web")
        _ = try await tailnet.join(web)
        var update = web.update(homeDERP: 900)
        update.hostinfo?.services = [HostService(proto: "peerapi4", port: 4321)]
        update.hostinfo?.shieldsUp = true
        update.hostinfo?.others = ["DeviceModel": .string("secret"), "FrontendLogID": .string("secret")]
        try await tailnet.registry.update(update, from: web.machineKey)
        let shown = try #require(try await tailnet.message(watcher).peersChanged.first?.hostinfo)
        #expect(shown.services.count == 1 && shown.shieldsUp && shown.os == "linux" && shown.hostname == "web")
        #expect(shown.netInfo == nil && shown.backendLogID.isEmpty && shown.requestTags.isEmpty && shown.others.isEmpty)
        update.hostinfo?.backendLogID = String(repeating: "cd", count: 32)
        update.hostinfo?.exitNodeID = "n1"
        try await tailnet.registry.update(update, from: web.machineKey)
        #expect(try await tailnet.messages(watcher).isEmpty)
    }

    @Test func `one map is fetched without a stream, and nobody goes online by it`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        let web = TestMachine("web")
        _ = try await tailnet.register(web.registration(authKey: try await tailnet.authKey()), as: web)
        var request = web.update()
        request.omitPeers = false
        let map = try await tailnet.registry.fetch(request, from: web.machineKey)
        #expect(map.node?.discoKey == web.discoKey && map.peers.map(\.id) == [1] && map.userProfiles.count == 1)
        #expect(try await tailnet.message(watcher).peersChanged.map(\.online) == [false])
    }

    @Test func `during a pending rotation the old key goes on, and ends with the login`() async throws {
        let tailnet = try await TestTailnet()
        var web = TestMachine("web")
        let (stream, _) = try await tailnet.settle(web)
        let old = web
        web.nodeKey = NodePrivateKey().publicKey
        var request = web.registration()
        request.oldNodeKey = old.nodeKey
        let url = try await tailnet.register(request, as: web).authURL
        #expect(!url.isEmpty)
        try await tailnet.registry.update(old.update(), from: old.machineKey)
        #expect(tailnet.registry.admittedKeys.contains(old.nodeKey))
        try await tailnet.registry.approveLogin(try #require(await tailnet.registry.openLogins().first).id)
        guard case .end = await tailnet.registry.work(for: stream.id) else { throw UnexpectedAnswer() }
        await #expect(throws: MapRefusal.nodeNotFound) {
            try await tailnet.registry.update(old.update(), from: old.machineKey)
        }
        try await tailnet.registry.update(web.update(), from: web.machineKey)
        let node = try await tailnet.registry.node(named: "1").node
        #expect(node.nodeKey == web.nodeKey && node.ipv4.description == "100.64.0.1" && node.givenName == "web")
        #expect(!tailnet.registry.admittedKeys.contains(old.nodeKey))
    }

    @Test func `an end that comes nearer is a patch to peers`() async throws {
        let tailnet = try await TestTailnet()
        let (watcher, _) = try await tailnet.settle(TestMachine("watcher"))
        let web = TestMachine("web")
        let (stream, _) = try await tailnet.settle(web)
        _ = try await tailnet.messages(watcher)
        var request = web.registration()
        request.expiry = tailnet.time.now.adding(seconds: 60)
        #expect(try await tailnet.register(request, as: web).machineAuthorized)
        #expect(try await tailnet.message(watcher).peersChangedPatch.map(\.keyExpiry) == [request.expiry])
        #expect(try await tailnet.message(stream).node?.keyExpiry == request.expiry)
    }
}

import ControlPlane
import Coordination
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

@Suite("CoordinationServer over loopback", .timeLimit(.minutes(1)))
struct CoordinationServerTests {
    private func authKey(_ server: CoordinationServer, reusable: Bool = false) async throws -> String {
        try #require(try await server.createAuthKey(CreateAuthKeyRequest(reusable: reusable)).key)
    }

    private func join(_ live: LiveMachine, _ server: CoordinationServer) async throws {
        let key = try await authKey(server)
        let answer = try await live.client.register(live.machine.registration(authKey: key))
        #expect(answer.machineAuthorized && answer.error.isEmpty && answer.login.id == 1)
    }

    @Test func `two machines join with keys and hear of each other`() async throws {
        try await withServer(in: StateDirectory()) { server in
            let web = try LiveMachine("web", server: server)
            let db = try LiveMachine("db", server: server)
            try await join(web, server)
            try await web.withPoll { webMap in
                let alone = try await webMap.map { _ in true }
                #expect(alone.selfNode.name == "web.warren.internal." && alone.peers.isEmpty)
                #expect(alone.magicDNSSuffix == "warren.internal" && !alone.packetFilter.isEmpty)
                try await join(db, server)
                try await db.withPoll { dbMap in
                    let endpoint = try #require(AddressPort("127.0.0.1:41641"))
                    try await db.client.update(db.machine.update(endpoints: [endpoint], homeDERP: 900))
                    let map = try await webMap.map {
                        $0.peers[2].map { $0.homeDERP == 900 && $0.online == true } ?? false
                    }
                    let peer = try #require(map.peers[2])
                    #expect(peer.key == db.machine.nodeKey && peer.endpoints == [endpoint] && peer.online == true)
                    #expect(map.userProfiles[peer.user]?.loginName == "admin@warren.internal")
                    let other = try await dbMap.map { $0.peers[1] != nil }
                    #expect(other.peers[1]?.discoKey == web.machine.discoKey)
                    try await server.deleteNode("2")
                    #expect(try await dbMap.map { $0.selfNode.expired }.selfNode.id == 2)
                    _ = try await webMap.map { $0.peers.isEmpty }
                }
            }
            #expect(await server.nodes().map(\.name) == ["web"])
        }
    }

    @Test func `a person lets a machine in by the page behind the login URL`() async throws {
        try await withServer(in: StateDirectory()) { server in
            let web = try LiveMachine("web & co <b>", server: server)
            let url = try await web.client.register(web.machine.registration()).authURL
            let login = try #require(await server.logins().first)
            #expect(url == "\(server.serverURL)/login/\(login.id)" && login.hostname == "web & co <b>")
            let path = "/login/\(login.id)"
            let page = try await get(server, path)
            #expect(page.hasPrefix("HTTP/1.1 200") && page.contains("web &amp; co &lt;b&gt;"))
            #expect(page.contains("frame-ancestors 'none'") && !page.contains("<script"))
            // Neither looking nor a form from elsewhere approves.
            #expect(await server.logins().count == 1)
            #expect(try await post(server, path, form: "token=guess").hasPrefix("HTTP/1.1 403"))
            let token = try #require(page.split(separator: "name=\"token\" value=\"").last?.prefix(32))
            let foreign = try await post(server, path, form: "token=\(token)", headers: "Origin: https://evil.test\r\n")
            #expect(foreign.hasPrefix("HTTP/1.1 403"))
            #expect(await server.nodes().isEmpty)

            async let waiting = web.client.register(web.machine.registration(followup: url))
            let own = "Origin: http://\(server.address.host)\r\n"
            #expect(try await post(server, path, form: "token=\(token)", headers: own).hasPrefix("HTTP/1.1 200"))
            let answer = try await waiting
            #expect(answer.machineAuthorized && answer.authURL.isEmpty)
            #expect(await server.nodes().map(\.name) == ["web--co-b"])
            #expect(try await get(server, path).hasPrefix("HTTP/1.1 404"))
        }
    }

    @Test(arguments: [("0.0.0.0", "http://127.0.0.1:1"), ("127.0.0.1", "https://tailnet.example")])
    func `where others reach it, the page asks for an administrator's token`(
        _ host: String,
        _ publicURL: String
    ) async throws {
        var configuration = CoordinationConfiguration()
        configuration.listen.host = host
        configuration.publicURL = publicURL
        try await withServer(
            in: StateDirectory(),
            configuration: configuration,
            approvalCheck: { $0 == "s3cret+ä" }
        ) { server in
            let machine = TestMachine("web")
            guard
                case .respond(let answer) = try await server.registry.register(
                    machine.registration(),
                    from: machine.machineKey,
                    remoteAddress: "192.0.2.7"
                )
            else { throw UnexpectedAnswer() }
            let path = String(answer.authURL.dropFirst(publicURL.count))
            let page = try await get(server, path)
            #expect(page.contains("name=\"credential\"") && page.contains("192.0.2.7"))
            let token = try #require(page.split(separator: "name=\"token\" value=\"").last?.prefix(32))
            for form in ["token=\(token)", "token=\(token)&credential=", "token=\(token)&credential=wrong"] {
                #expect(try await post(server, path, form: form).hasPrefix("HTTP/1.1 403"))
            }
            #expect(await server.nodes().isEmpty)
            let form = "credential=s3cret%2B%C3%A4&token=\(token)"
            #expect(try await post(server, path, form: form).hasPrefix("HTTP/1.1 200"))
            #expect(await server.nodes().count == 1)
        }
    }

    @Test func `the map leads to the relay, which admits registered keys alone`() async throws {
        let directory = try StateDirectory()
        var pin: String?
        for _ in 0..<2 {
            try await withServer(in: directory) { server in
                let web = try LiveMachine("web", server: server)
                try await join(web, server)
                try await web.withPoll { watcher in
                    let map = try await watcher.map { $0.derpMap?.regions.isEmpty == false }
                    let region = try #require(map.derpMap?.regions[900])
                    let node = try #require(region.nodes.first)
                    #expect(map.derpMap?.omitDefaultRegions == true && region.nodes.count == 1)
                    #expect(node.hostName == "127.0.0.1" && node.ipv4 == "127.0.0.1" && node.ipv6 == "none")
                    #expect(node.derpPort == server.derpAddress?.port && node.stunPort == server.stunAddress?.port)
                    #expect(node.certName.hasPrefix("sha256-raw:") && !node.insecureForTests)
                    // Clients keep the pin, so a restart must not change it.
                    #expect(pin == nil || pin == node.certName)
                    pin = node.certName
                    #expect(server.registry.admittedKeys.contains(web.machine.nodeKey))
                    #expect(!server.registry.admittedKeys.contains(NodePrivateKey().publicKey))
                }
            }
        }
    }

    @Test func `a graceful shutdown ends polls cleanly`() async throws {
        let directory = try StateDirectory()
        try await withServer(in: directory, inServiceGroup: true) { server, shutDown in
            let web = try LiveMachine("web", server: server)
            try await join(web, server)
            try await web.withPoll { watcher in
                _ = try await watcher.map { _ in true }
                await shutDown()
                // The poll ends by itself; nobody takes the map for changed.
                await #expect(throws: MapWatcher.StreamEnded.self) { try await watcher.map { _ in false } }
            }
        }
        try await withServer(in: directory) { server in
            #expect(await server.nodes().map(\.online) == [true])
        }
    }

    @Test func `refusals, logout and login denied reach the client in words`() async throws {
        try await withServer(in: StateDirectory()) { server in
            let web = try LiveMachine("web", server: server)
            let refused = try await web.client.register(web.machine.registration(authKey: "tskey-auth-a-b"))
            #expect(refused.error == "invalid auth key" && !refused.machineAuthorized)
            let key = try await server.createAuthKey(CreateAuthKeyRequest())
            try await server.revokeAuthKey(key.id)
            #expect(
                try await web.client.register(web.machine.registration(authKey: key.key)).error == "auth key revoked"
            )
            #expect(await server.authKeys().map(\.revoked) == [true])

            let url = try await web.client.register(web.machine.registration()).authURL
            let id = try #require(await server.logins().first?.id)
            try await server.denyLogin(id)
            #expect(try await web.client.register(web.machine.registration(followup: url)).error == "login rejected")
            await #expect(throws: CoordinationError.loginNotFound) { try await server.approveLogin(id) }

            try await join(web, server)
            try await web.client.logout(web.machine.registration())
            let after = try await web.client.register(web.machine.registration())
            #expect(after.nodeKeyExpired && !after.machineAuthorized)
        }
    }

    @Test func `a restart keeps the server's key, the addresses and the sessions' rights`() async throws {
        let directory = try StateDirectory()
        var serverKey: MachinePublicKey?
        var addresses: [String] = []
        let machine = TestMachine("web")
        try await withServer(in: directory) { server in
            serverKey = server.serverKey
            let key = try await authKey(server)
            guard
                case .respond(let answer) = try await server.registry.register(
                    machine.registration(authKey: key),
                    from: machine.machineKey,
                    remoteAddress: nil
                )
            else { throw UnexpectedAnswer() }
            #expect(answer.machineAuthorized)
            try await server.registry.update(machine.update(), from: machine.machineKey)
            addresses = await server.nodes().flatMap(\.addresses)
            #expect(addresses == ["100.64.0.1", "fd7a:115c:a1e0::1"])
        }
        try await withServer(in: directory) { server in
            #expect(server.serverKey == serverKey)
            #expect(await server.nodes().flatMap(\.addresses) == addresses)
            let map = try await server.registry.fetch(machine.poll(), from: machine.machineKey)
            #expect(map.node?.discoKey == machine.discoKey)
            #expect(await server.authKeys().map(\.used) == [true])
            let db = try LiveMachine("db", server: server)
            try await join(db, server)
            #expect(await server.nodes().map(\.id) == ["1", "2"])
        }
    }

    @Test func `the outer surface answers what people and probes ask`() async throws {
        try await withServer(in: StateDirectory()) { server in
            let key = try await get(server, "/key?v=131")
            #expect(key.contains("\"publicKey\":\"\(server.serverKey.text)\""))
            #expect(key.contains("\"legacyPublicKey\":\"mkey:\(String(repeating: "0", count: 64))\""))
            for (path, status) in [
                ("/key", 400), ("/key?v=x", 400), ("/health", 200), ("/", 200), ("/nothing", 404), ("/ts2021", 400),
                ("/login/0123", 404),
            ] {
                #expect(try await get(server, path).hasPrefix("HTTP/1.1 \(status)"), "\(path)")
            }
            let large =
                "POST /login/x HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"
                + String(repeating: "a", count: 20_000)
            #expect(try await exchange(server, large).hasPrefix("HTTP/1.1 413"))
            #expect(try await post(server, "/key", form: "").hasPrefix("HTTP/1.1 405"))
            let bad =
                "POST /ts2021 HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: tailscale-control-protocol\r\n"
                + "X-Tailscale-Handshake: AAAA\r\nContent-Length: 0\r\n\r\n"
            let answer = try await exchange(server, bad)
            #expect(answer.hasPrefix("HTTP/1.1 400"), "\(answer)")
        }
    }
}

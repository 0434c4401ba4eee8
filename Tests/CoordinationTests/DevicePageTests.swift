import Coordination
import Tailcfg
import Testing
import WarrenModel

@Suite("The page for approving devices", .timeLimit(.minutes(1)))
struct DevicePageTests {
    /// A server that approves devices, and a machine that waits.
    private func withWaiting(
        _ machine: TestMachine,
        publicURL: String? = nil,
        _ body: (CoordinationServer) async throws -> Void
    ) async throws {
        var configuration = CoordinationConfiguration(publicURL: publicURL, derp: nil, stun: nil)
        configuration.rules.approvesDevices = true
        try await withServer(
            in: StateDirectory(),
            configuration: configuration,
            approvalCheck: { $0 == "s3cret" }
        ) { server in
            var request = machine.registration()
            request.authKey = try await server.createAuthKey(.init()).key
            _ = try await server.registry.register(request, from: machine.machineKey, remoteAddress: nil)
            try await body(server)
        }
    }

    private func token(in page: String) throws -> Substring {
        try #require(page.split(separator: "name=\"token\" value=\"").dropFirst().first?.prefix(32))
    }

    @Test func `lists those who wait where this host alone can see it, and lets them in by a button`() async throws {
        try await withWaiting(TestMachine("web<b>")) { server in
            let page = try await get(server, "/admin")
            #expect(page.contains("<b>webb</b>") && !page.contains("credential"))
            #expect(try await post(server, "/admin", form: "token=0&node=1").hasPrefix("HTTP/1.1 403"))
            let token = try token(in: page)
            let foreign = try await post(
                server,
                "/admin",
                form: "token=\(token)&node=1",
                headers: "Origin: http://evil.example\r\n"
            )
            #expect(foreign.hasPrefix("HTTP/1.1 403"))
            #expect(try await post(server, "/admin", form: "token=\(token)&node=9").hasPrefix("HTTP/1.1 404"))
            #expect(await server.nodes().map(\.approved) == [false])
            #expect(try await post(server, "/admin", form: "token=\(token)&node=1").hasPrefix("HTTP/1.1 200"))
            #expect(await server.nodes().map(\.approved) == [true])
        }
    }

    @Test func `tells strangers nothing, and asks them for the token`() async throws {
        try await withWaiting(TestMachine("web"), publicURL: "https://tailnet.example") { server in
            let page = try await get(server, "/admin")
            #expect(!page.contains("web") && page.contains("name=\"credential\""))
            let token = try token(in: page)
            for form in ["token=\(token)&node=web", "token=\(token)&node=web&credential=wrong"] {
                #expect(try await post(server, "/admin", form: form).hasPrefix("HTTP/1.1 403"))
            }
            #expect(await server.nodes().map(\.approved) == [false])
            let form = "token=\(token)&node=web&credential=s3cret"
            #expect(try await post(server, "/admin", form: form).hasPrefix("HTTP/1.1 200"))
            #expect(await server.nodes().map(\.approved) == [true])
        }
    }
}

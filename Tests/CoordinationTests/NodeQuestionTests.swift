import ControlPlane
import Coordination
import Foundation
import NIOCore
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

@Suite("What the server asks of clients", .timeLimit(.minutes(1)))
struct NodeQuestionTests {
    /// Joins, polls, and answers what it is asked.
    private func withJoined(
        probe: @escaping @Sendable (ControlPing.ProbeKind, IPAddress) async -> PingResponse? = { _, _ in nil },
        _ body: (CoordinationServer, LiveMachine, NodeID) async throws -> Void
    ) async throws {
        try await withServer(in: StateDirectory()) { server in
            let live = try LiveMachine("router", server: server)
            let key = try await server.createAuthKey(CreateAuthKeyRequest()).key
            _ = try await live.client.register(live.machine.registration(authKey: key))
            let (opened, open) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            try await withThrowingTaskGroup { group in
                group.addTask {
                    try? await live.client.mapPoll(live.machine.poll()) { message in
                        open.yield()
                        if let request = message.pingRequest {
                            try? await live.client.answerPing(request, probe: probe)
                        }
                    }
                }
                for await _ in opened { break }
                let id = try #require(await server.registry.nodes().first?.node.id)
                try await body(server, live, id)
                group.cancelAll()
            }
            await live.client.close()
        }
    }

    @Test func `a client that lives says so, and echoes`() async throws {
        try await withJoined { server, _, id in
            let alive = try await server.registry.ask(.isAlive, of: id)
            #expect(alive.readableBytes == 0)
            let request = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
            let echo = String(buffer: try await server.registry.ask(.request(request), of: id))
            #expect(echo.hasPrefix("HTTP/1.1 200 OK\r\n"))
            await #expect(throws: NodeQuestionFailure.notConnected) {
                try await server.registry.ask(.isAlive, of: NodeID(rawValue: 999))
            }
        }
    }

    @Test(arguments: NodeProbe.allCases)
    func `a probe is answered with what the client found`(_ probe: NodeProbe) async throws {
        let found: @Sendable (ControlPing.ProbeKind, IPAddress) async -> PingResponse? = { kind, address in
            var response = PingResponse(type: kind.rawValue)
            response.nodeIP = address.description
            return response
        }
        try await withJoined(probe: found) { server, _, id in
            let address = try #require(IPAddress("100.64.0.9"))
            let body = try await server.registry.ask(.probe(probe, address), of: id)
            let response = try JSONDecoder().decode(PingResponse.self, from: Data(body.readableBytesView))
            #expect(response.type == probe.rawValue && response.nodeIP == "100.64.0.9")
        }
    }

    @Test func `only the machine that was asked answers, once, in the right way and in time`() async throws {
        let tailnet = try await TestTailnet()
        let machine = TestMachine("router")
        let stream = try await tailnet.join(machine)
        _ = try await tailnet.messages(stream)
        let registry = tailnet.registry
        let id = try #require(await registry.nodes().first?.node.id)
        async let answer = registry.ask(.request("GET /echo HTTP/1.1\r\n\r\n"), of: id)
        var number = ""
        for await _ in stream.wakeups {
            let messages = try await tailnet.messages(stream)
            guard let request = messages.compactMap(\.pingRequest).first else { continue }
            #expect(messages.allSatisfy(\.keepAlive) && request.urlIsNoise && request.types == "c2n")
            number = String(request.url.split(separator: "/").last ?? "")
            break
        }
        let body = ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n")
        let other = MachinePrivateKey().publicKey
        let (own, isHead) = (machine.machineKey, true)
        #expect(await !registry.takeAnswer(number, isHead: false, body: body, from: other))
        #expect(await !registry.takeAnswer(number, isHead: isHead, body: body, from: own))
        #expect(await !registry.takeAnswer("0" + number, isHead: false, body: body, from: own))
        #expect(await registry.takeAnswer(number, isHead: false, body: body, from: own))
        #expect(await !registry.takeAnswer(number, isHead: false, body: body, from: own))
        #expect(try await answer == body)

        async let late = registry.ask(.isAlive, of: id)
        for await _ in stream.wakeups where try await !tailnet.messages(stream).isEmpty { break }
        tailnet.time.advance(seconds: CoordinationDefaults.aliveSeconds)
        _ = await registry.tick()
        do {
            _ = try await late
            Issue.record("an answer came from nowhere")
        } catch { #expect(error as? NodeQuestionFailure == .noAnswer) }
    }
}

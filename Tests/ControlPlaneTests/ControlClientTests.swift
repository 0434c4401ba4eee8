import ControlPlane
import Foundation
import Logging
import LoopbackSupport
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NetTypes
import Synchronization
import Tailcfg
import Testing
import WarrenCrypto

@Suite("ControlClient over loopback", .timeLimit(.minutes(1))) struct ControlClientTests {
    private struct Everywhere: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { purpose == .control }
    }

    private struct Nowhere: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { false }
    }

    private func client(
        port: Int,
        policy: any DialPolicy = Everywhere(),
        change: (inout ControlConfiguration) -> Void = { _ in }
    ) throws -> ControlClient {
        var configuration = ControlConfiguration(
            url: try ControlURL("http://127.0.0.1:\(port)"),
            machineKey: MachinePrivateKey(),
            capabilityVersion: UInt16(CapabilityVersion.current.rawValue)
        )
        change(&configuration)
        return ControlClient(
            configuration: configuration,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            dialPolicy: policy,
            logger: Logger(label: "test")
        )
    }

    private var registration: RegisterRequest {
        RegisterRequest(version: .current, nodeKey: NodePrivateKey().publicKey, hostinfo: nil)
    }

    private var mapRequest: MapRequest {
        MapRequest(
            version: .current,
            nodeKey: NodePrivateKey().publicKey,
            discoKey: DiscoPrivateKey().publicKey,
            hostinfo: nil
        )
    }

    /// Runs `body` against a server that answers with `respond`.
    private func with(
        _ server: LoopbackControlServer,
        respond: @escaping LoopbackControlServer.Responder,
        _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup { group in
            group.addTask { try await server.run(respond) }
            try await body()
            group.cancelAll()
        }
    }

    @Test(arguments: [true, false])
    func `registers and updates over one connection, with and without an early payload`(early: Bool) async throws {
        let payload = early ? EarlyPayload(nodeKeyChallenge: ChallengePrivateKey().publicKey) : nil
        let server = try await LoopbackControlServer(earlyPayload: payload)
        let client = try client(port: server.port)
        let request = registration
        let paths = Mutex<[String]>([])
        try await with(server) { head, body, outbound in
            paths.withLock { $0.append(head.uri) }
            if head.uri == "/machine/register" {
                let asked = try JSONDecoder().decode(RegisterRequest.self, from: Data(body.readableBytesView))
                #expect(asked == request)
                #expect(head.headers["ts-lb"] == [request.nodeKey.text])
                try await LoopbackControlServer.reply(.ok, #"{"MachineAuthorized":true}"#, to: outbound)
            } else {
                try await LoopbackControlServer.reply(.ok, "", to: outbound)
            }
        } _: {
            let response = try await client.register(request)
            #expect(response.machineAuthorized)
            try await client.update(mapRequest)
            #expect(paths.withLock { $0 } == ["/machine/register", "/machine/map"])
            await client.close()
        }
    }

    @Test func `streams a large map while other requests run`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port)
        let filler = (0..<120_000).map { String($0) }.joined(separator: ",")
        try await with(server) { head, body, outbound in
            let request = try JSONDecoder().decode(MapRequest.self, from: Data(body.readableBytesView))
            guard request.stream else { return try await LoopbackControlServer.reply(.ok, "", to: outbound) }
            #expect(request.compress == "zstd")
            let encoder = MapFrameEncoder(compression: .zstd)
            let node =
                #"{"Node":{"ID":1,"StableID":"n1","Name":"a.b.","Key":"\#(request.nodeKey.text)"},"Health":["\#(filler)"]}"#
            try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
            try await outbound.write(.body(.byteBuffer(try encoder.encode(ByteBuffer(string: node)))))
            for _ in 0..<3 {
                let frame = try encoder.encode(ByteBuffer(string: #"{"KeepAlive":true}"#))
                try await outbound.write(.body(.byteBuffer(frame)))
            }
            try await outbound.write(.end(nil))
        } _: {
            let seen = Mutex<[Bool]>([])
            let request = mapRequest
            try await client.mapPoll(request) { response in
                seen.withLock { $0.append(response.keepAlive) }
                do { try await client.update(request) } catch { Issue.record(error) }
            }
            #expect(seen.withLock { $0 } == [false, true, true, true])
            await client.close()
        }
    }

    @Test(arguments: ["s1", "s2"])
    func `goes on with a session that the server goes on with, and with no other`(answered: String) async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port)
        try await with(server) { _, body, outbound in
            let text = String(buffer: body)
            #expect(text.contains(#""MapSessionHandle":"s1""#) && text.contains(#""MapSessionSeq":7"#))
            let message = #"{"MapSessionHandle":"\#(answered)","Seq":8,"PeersRemoved":[2]}"#
            let frame = try MapFrameEncoder(compression: .zstd).encode(ByteBuffer(string: message))
            try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
            try await outbound.write(.body(.byteBuffer(frame)))
            try await outbound.write(.end(nil))
        } _: {
            var request = mapRequest
            request.mapSession = MapSession(handle: "s1", sequence: 7)
            let removed = Mutex<[NodeID]>([])
            @Sendable func note(_ response: MapResponse) { removed.withLock { $0 += response.peersRemoved } }
            if answered == "s1" {
                try await client.mapPoll(request) { note($0) }
            } else {
                await #expect(throws: ControlError.malformedResponse) {
                    try await client.mapPoll(request) { note($0) }
                }
            }
            #expect(removed.withLock { $0 } == (answered == "s1" ? [2] : []))
            await client.close()
        }
    }

    @Test func `gives up a poll that falls silent`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port) { $0.mapWatchdog = .milliseconds(200) }
        try await with(server) { _, _, outbound in
            try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
            // Half a frame is no sign of life.
            try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: [100, 0, 0, 0, 1]))))
        } _: {
            await #expect(throws: ControlError.timedOut) { try await client.mapPoll(mapRequest) { _ in } }
            await client.close()
        }
    }

    @Test(arguments: ["bomb", "oversized", "nonsense", "no node", "raw JSON", "cut"])
    func `ends a poll whose server misbehaves`(kind: String) async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port) { $0.maximumMapByteCount = 1 << 20 }
        try await with(server) { _, _, outbound in
            let zstd = MapFrameEncoder(compression: .zstd)
            let frame =
                switch kind {
                case "bomb": try zstd.encode(ByteBuffer(repeating: 0x20, count: 8 << 20))
                case "oversized": ByteBuffer(bytes: [1, 0, 16, 0])
                case "nonsense": try zstd.encode(ByteBuffer(string: "{\"Node\":7}"))
                case "no node": try zstd.encode(ByteBuffer(string: "{\"Domain\":\"x\"}"))
                case "raw JSON":
                    try MapFrameEncoder(compression: .none).encode(ByteBuffer(string: "{\"KeepAlive\":true}"))
                default: ByteBuffer(bytes: [9, 0, 0, 0, 1, 2])
                }
            try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
            try await outbound.write(.body(.byteBuffer(frame)))
            try await outbound.write(.end(nil))
        } _: {
            let expected: ControlError =
                switch kind {
                case "bomb", "oversized": .oversized
                case "cut": .connectionClosed
                default: .malformedResponse
                }
            await #expect(throws: expected) { try await client.mapPoll(mapRequest) { _ in } }
            await client.close()
        }
    }

    @Test func `tells status codes apart and never echoes more than 200 octets`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port)
        try await with(server) { head, _, outbound in
            if head.uri == "/machine/register" {
                try await LoopbackControlServer.reply(
                    .tooManyRequests,
                    "slow down",
                    headers: ["retry-after": "17"],
                    to: outbound
                )
            } else {
                let text = "line\r\nline" + String(repeating: "x", count: 5000)
                try await LoopbackControlServer.reply(.notFound, text, to: outbound)
            }
        } _: {
            await #expect(throws: ControlError.rateLimited(retryAfter: .seconds(17))) {
                try await client.register(registration)
            }
            for stream in [true, false] {
                let error = await #expect(throws: ControlError.self) {
                    if stream {
                        try await client.mapPoll(mapRequest) { _ in }
                    } else {
                        try await client.update(mapRequest)
                    }
                }
                guard case .httpStatus(404, let detail)? = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
                #expect(detail.utf8.count == 200)
                #expect(detail.hasPrefix("line  line"))
            }
            await client.close()
        }
    }

    @Test func `refuses bodies above the cap`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port)
        try await with(server) { _, _, outbound in
            try await LoopbackControlServer.reply(.ok, String(repeating: " ", count: (1 << 20) + 1), to: outbound)
        } _: {
            await #expect(throws: ControlError.oversized) { try await client.register(registration) }
            await client.close()
        }
    }

    @Test func `waits for a follow-up beyond the deadline of other requests`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client(port: server.port) { $0.requestDeadline = .milliseconds(100) }
        let (timedOut, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        try await with(server) { head, body, outbound in
            let request = try JSONDecoder().decode(RegisterRequest.self, from: Data(body.readableBytesView))
            guard !request.followup.isEmpty else { return }
            for await _ in timedOut { break }
            try await LoopbackControlServer.reply(.ok, #"{"MachineAuthorized":true}"#, to: outbound)
        } _: {
            var request = registration
            request.followup = "https://login.example/x"
            async let response = client.register(request)
            await #expect(throws: ControlError.timedOut) { try await client.register(registration) }
            signal.yield()
            let authorized = try await response.machineAuthorized
            #expect(authorized)
            await client.close()
        }
    }

    @Test func `notices a server whose key is not the announced one`() async throws {
        let server = try await LoopbackControlServer(announcing: MachinePrivateKey().publicKey, earlyPayload: nil)
        let client = try client(port: server.port)
        try await with(server) { _, _, _ in
        } _: {
            await #expect(throws: ControlError.connectionClosed) { try await client.register(registration) }
            await client.close()
        }
    }

    @Test func `dials nothing that the policy or the configuration forbids`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        try await with(server) { _, _, _ in
        } _: {
            let forbidden = try client(port: server.port, policy: Nowhere())
            await #expect(throws: ControlError.blockedByPolicy) { try await forbidden.register(registration) }
            let named = try client(port: server.port, policy: Nowhere()) { configuration in
                // The text is a valid URL.
                if let url = try? ControlURL("http://localhost:\(configuration.url.port)") { configuration.url = url }
            }
            await #expect(throws: ControlError.blockedByPolicy) { try await named.register(registration) }
            let plain = try client(port: server.port) { $0.plainHTTP = .refused }
            await #expect(throws: ControlError.plainHTTPRefused) { try await plain.register(registration) }
        }
    }

    @Test(arguments: ["localhost", "127.0.0.1"])
    func `speaks TLS to a server that a trusted authority vouches for`(host: String) async throws {
        let identity = try LoopbackCertificate()
        let server = try await LoopbackControlServer(earlyPayload: nil, tls: try identity.serverContext())
        try await with(server) { _, _, outbound in
            try await LoopbackControlServer.reply(.ok, #"{"MachineAuthorized":true}"#, to: outbound)
        } _: {
            let url = try ControlURL("https://\(host):\(server.port)")
            let trusting = try client(port: server.port) { configuration in
                configuration.url = url
                configuration.tls.trustRoots = .certificates([identity.certificate])
            }
            let response = try await trusting.register(registration)
            #expect(response.machineAuthorized)
            await trusting.close()
            let stranger = try client(port: server.port) { $0.url = url }
            await #expect(throws: ControlError.tlsFailed) { try await stranger.register(registration) }
        }
    }

    @Test func `gives up a server that accepts and then says nothing`() async throws {
        let silent = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try client(port: silent.localAddress?.port ?? 0) { $0.dialDeadline = .milliseconds(200) }
        await #expect(throws: ControlError.timedOut) { try await client.register(registration) }
        try await silent.close()
        await #expect(throws: ControlError.unreachable) { try await client.register(registration) }
    }
}

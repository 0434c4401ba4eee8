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
import Transport
import WarrenCrypto

@Suite("What carries a control connection", .timeLimit(.minutes(1))) struct ControlCarrierTests {
    private func client(
        _ url: String,
        trusting certificate: LoopbackCertificate? = nil,
        policy: any DialPolicy = LoopbackPolicy(),
        change: (inout ControlConfiguration) -> Void = { _ in }
    ) throws -> ControlClient {
        var configuration = ControlConfiguration(
            url: try ControlURL(url),
            machineKey: MachinePrivateKey(),
            capabilityVersion: UInt16(CapabilityVersion.current.rawValue),
            plainHTTP: .allowed
        )
        // Nothing listens on port 1 of this host.
        configuration.standardPorts.clearText = 1
        configuration.standardPorts.tls = 1
        if let certificate { configuration.tls.trustRoots = .certificates([certificate.certificate]) }
        change(&configuration)
        return ControlClient(
            configuration: configuration,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            dialPolicy: policy,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    private var registration: RegisterRequest {
        RegisterRequest(version: .current, nodeKey: NodePrivateKey().publicKey, hostinfo: nil)
    }

    /// Runs `body` while the servers let everybody in.
    private func with(_ servers: LoopbackControlServer..., body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup { group in
            for server in servers {
                group.addTask {
                    try await server.run { _, _, outbound in
                        try await LoopbackControlServer.reply(.ok, #"{"MachineAuthorized":true}"#, to: outbound)
                    }
                }
            }
            try await body()
            group.cancelAll()
        }
    }

    @Test(
        arguments: StreamTransport.allCases,
        [Set<LoopbackControlServer.Carrier>([.raw, .webSocket]), [.webSocket], [.raw]]
    )
    func `falls back to WebSocket only when it may`(
        transport: StreamTransport,
        carriers: Set<LoopbackControlServer.Carrier>
    ) async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil, carriers: carriers)
        try await with(server) {
            let client = try client("http://127.0.0.1:\(server.port)") { $0.transport = transport }
            if transport == .webSocket, carriers == [.raw] {
                await #expect(throws: ControlError.upgradeRefused(status: 404)) {
                    try await client.register(registration)
                }
            } else {
                #expect(try await client.register(registration).machineAuthorized)
            }
            await client.close()
        }
    }

    @Test func `remembers that WebSocket worked`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil, carriers: [.webSocket])
        try await with(server) {
            let client = try client("http://127.0.0.1:\(server.port)")
            #expect(try await client.register(registration).machineAuthorized)
            // The question for the key, the refused upgrade, and the WebSocket.
            #expect(server.connections.value == 3)
            try await server.goAway()
            while try await client.register(registration).machineAuthorized, server.connections.value == 3 {}
            #expect(server.connections.value == 4)
            await client.close()
        }
    }

    @Test func `says what the raw upgrade was answered when nothing works`() async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil, carriers: [])
        try await with(server) {
            let client = try client("http://127.0.0.1:\(server.port)")
            await #expect(throws: ControlError.upgradeRefused(status: 404)) { try await client.register(registration) }
            await client.close()
        }
    }

    @Test(arguments: StreamTransport.allCases)
    func `carries a map of some megabytes`(transport: StreamTransport) async throws {
        let server = try await LoopbackControlServer(earlyPayload: nil)
        let client = try client("http://127.0.0.1:\(server.port)") { $0.transport = transport }
        let node = #"{"ID":1,"StableID":"n1","Name":"a.b.","Key":"\#(NodePrivateKey().publicKey.text)"}"#
        let filler = (0..<400_000).map { String($0 &* 2_654_435_761 % 1_000_003) }.joined(separator: ",")
        try await withThrowingTaskGroup { group in
            group.addTask {
                try await server.run { _, _, outbound in
                    let json = ByteBuffer(string: #"{"Node":\#(node),"Health":["\#(filler)"]}"#)
                    try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
                    let frame = try MapFrameEncoder(compression: .zstd).encode(json)
                    #expect(frame.readableBytes > 1 << 20)
                    try await outbound.write(.body(.byteBuffer(frame)))
                    try await outbound.write(.end(nil))
                }
            }
            let health = Mutex("")
            let request = MapRequest(
                version: .current,
                nodeKey: NodePrivateKey().publicKey,
                discoKey: DiscoPrivateKey().publicKey,
                hostinfo: nil
            )
            try await client.mapPoll(request) { response in health.withLock { $0 = response.health?.first ?? "" } }
            #expect(health.withLock { $0 } == filler)
            await client.close()
            group.cancelAll()
        }
    }

    @Test func `lets TLS win when something else answers in clear text, and the other way round`() async throws {
        let certificate = try LoopbackCertificate()
        let secure = try await LoopbackControlServer(earlyPayload: nil, tls: try certificate.serverContext())
        let other = try await ScriptedServer.start { _ in
            .reply(Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8))
        }
        let plain = try await LoopbackControlServer(key: secure.key, earlyPayload: nil)
        try await with(secure, plain) {
            let past = try client("https://localhost:\(secure.port)", trusting: certificate) {
                $0.standardPorts.clearText = other.port
            }
            #expect(try await past.register(registration).machineAuthorized)
            #expect(secure.connections.value == 2)
            #expect(other.writtenByteCount > 0)
            await past.close()
            // The same server in clear text: it answers first, and TLS was for the key only.
            let direct = try client("https://localhost:\(secure.port)", trusting: certificate) {
                $0.standardPorts.clearText = plain.port
            }
            #expect(try await direct.register(registration).machineAuthorized)
            #expect(secure.connections.value == 3)
            #expect(plain.connections.value == 1)
            // Soon after a dial the next one leaves clear text out.
            try await plain.goAway()
            while try await direct.register(registration).machineAuthorized, secure.connections.value == 3 {}
            #expect(secure.connections.value == 4)
            #expect(plain.connections.value == 1)
            await direct.close()
        }
        try await other.stop()
    }

    @Test func `takes TLS half a second later when clear text says nothing`() async throws {
        let certificate = try LoopbackCertificate()
        let secure = try await LoopbackControlServer(earlyPayload: nil, tls: try certificate.serverContext())
        let silent = try await ScriptedServer.start { _ in .reply([]) }
        try await with(secure) {
            let client = try client("https://localhost:\(secure.port)", trusting: certificate) {
                $0.standardPorts.clearText = silent.port
            }
            let begin = ContinuousClock.now
            #expect(try await client.register(registration).machineAuthorized)
            #expect(ContinuousClock.now - begin >= .milliseconds(500))
            await client.close()
        }
        try await silent.stop()
    }

    @Test func `follows a dial plan under the policy, and DNS when it leads nowhere`() async throws {
        let request = MapRequest(
            version: .current,
            nodeKey: NodePrivateKey().publicKey,
            discoKey: DiscoPrivateKey().publicKey,
            hostinfo: nil
        )
        // 127.0.0.2 is this host too; documentation addresses are forbidden, and a host to forward through is not supported.
        let plans = [
            #"{"Candidates":[{"IP":"127.0.0.2","DialTimeoutSec":5,"Priority":1}]}"#,
            #"{"Candidates":[{"IP":"192.0.2.1","DialTimeoutSec":5},{"ACEHost":"192.0.2.2"},{"IP":"x"}]}"#,
        ]
        for plan in plans {
            let server = try await LoopbackControlServer(earlyPayload: nil)
            try await withThrowingTaskGroup { group in
                group.addTask {
                    try await server.run { head, _, outbound in
                        let node = #"{"ID":1,"StableID":"n1","Name":"a.b.","Key":"\#(request.nodeKey.text)"}"#
                        let map = ByteBuffer(string: #"{"Node":\#(node),"ControlDialPlan":\#(plan)}"#)
                        try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok)))
                        let isPoll = head.headers.contains(name: "ts-lb") && head.uri == "/machine/map"
                        let body =
                            isPoll ? try MapFrameEncoder(compression: .zstd).encode(map) : ByteBuffer(string: "{}")
                        try await outbound.write(.body(.byteBuffer(body)))
                        try await outbound.write(.end(nil))
                    }
                }
                let client = try client("http://127.0.0.1:\(server.port)")
                try await client.mapPoll(request) { _ in }
                let before = server.connections.value
                try await server.goAway()
                repeat { _ = try await client.register(registration) } while server.connections.value == before
                await client.close()
                group.cancelAll()
            }
        }
    }

    @Test func `goes through a proxy for the key and the stream, and names only the proxy in errors`() async throws {
        let certificate = try LoopbackCertificate(names: ["control.example"])
        let server = try await LoopbackControlServer(earlyPayload: nil, tls: try certificate.serverContext())
        let proxy = try await ConnectProxy.start(leadingTo: server.port)
        let url = "http://user:secret@127.0.0.1:\(proxy.port)"
        // What is allowed to go out directly is nothing at all: only the proxy's own address is the operator's word.
        let nowhere = LoopbackPolicy(permitsLoopback: false)
        try await with(server) {
            for transport in StreamTransport.allCases {
                let client = try client("https://control.example", trusting: certificate, policy: nowhere) {
                    $0.transport = transport
                    $0.proxies = ProxySettings(proxy: HTTPProxy(url), noProxy: "")
                }
                #expect(try await client.register(registration).machineAuthorized)
                await client.close()
            }
            #expect(proxy.requests.count == 4)
            for request in proxy.requests {
                #expect(request.first == "CONNECT control.example:443 HTTP/1.1")
                #expect(request.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="))
            }
            let refusing = try await ConnectProxy.start(
                leadingTo: server.port,
                reply: "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nno!!"
            )
            let name = "127.0.0.1:\(refusing.port)"
            let refused = try client("https://control.example") {
                $0.proxies = ProxySettings(proxy: HTTPProxy("http://user:secret@\(name)"), noProxy: "")
            }
            await #expect(throws: ControlError.proxyRefused(name, status: 407)) {
                try await refused.register(registration)
            }
            try await refusing.stop()
            await #expect(throws: ControlError.proxyUnreachable(name)) { try await refused.register(registration) }
            let blocked = try client("https://169.254.169.254", policy: nowhere) {
                $0.proxies = ProxySettings(proxy: HTTPProxy(url), noProxy: "")
            }
            await #expect(throws: ControlError.tlsFailed) { try await blocked.register(registration) }
        }
        try await proxy.stop()
    }
}

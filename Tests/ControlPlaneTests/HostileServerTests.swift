import ControlPlane
import Foundation
import Logging
import LoopbackSupport
import NIOCore
import NIOHTTP1
import NIOPosix
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto

@Suite("A hostile control server", .timeLimit(.minutes(1))) struct HostileServerTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let script: ScriptedServer.Script
        let expected: ControlError
        var testDescription: String { name }

        init(_ name: String, _ script: ScriptedServer.Script, _ expected: ControlError) {
            self.name = name
            self.script = script
            self.expected = expected
        }
    }

    private static func text(_ text: String) -> [UInt8] { Array(text.utf8) }
    private static let fields = text(String(repeating: "A: b\r\n", count: 1000))
    private static let block = [UInt8](repeating: 0x41, count: 16 << 10)
    private static let switching =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n"

    private func client(port: Int, deadline: Duration) throws -> ControlClient {
        var configuration = ControlConfiguration(
            url: try ControlURL("http://127.0.0.1:\(port)"),
            machineKey: MachinePrivateKey(),
            capabilityVersion: UInt16(CapabilityVersion.current.rawValue)
        )
        configuration.dialDeadline = deadline
        return ControlClient(
            configuration: configuration,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            dialPolicy: LoopbackPolicy(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    private var registration: RegisterRequest {
        RegisterRequest(version: .current, nodeKey: NodePrivateKey().publicKey, hostinfo: nil)
    }

    /// Lets a client meet `server`, then stops it and lets the same client meet an honest server at the same port.
    private func check(_ server: ScriptedServer, _ expected: ControlError) async throws {
        let port = server.port
        let client = try client(port: port, deadline: expected == .timedOut ? .seconds(1) : .seconds(10))
        await #expect(throws: expected) { try await client.register(registration) }
        // Octets in the sockets' buffers count as written too.
        #expect(server.writtenByteCount < 16 << 20)
        try await server.stop()
        let honest = try await LoopbackControlServer(earlyPayload: nil, port: port)
        await withThrowingTaskGroup { group in
            group.addTask {
                try await honest.run { _, _, outbound in
                    try await LoopbackControlServer.reply(.ok, #"{"MachineAuthorized":true}"#, to: outbound)
                }
            }
            // A key that was cached is asked for again after some failures.
            var isAuthorized = false
            for _ in 0..<4 where !isAuthorized {
                isAuthorized = (try? await client.register(registration).machineAuthorized) ?? false
            }
            #expect(isAuthorized)
            await client.close()
            group.cancelAll()
        }
    }

    @Test(
        arguments: [
            Case("endless body", .endless(text("HTTP/1.1 200 OK\r\n\r\n"), block), .oversized),
            Case(
                "huge body, announced",
                .endless(text("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), block),
                .oversized
            ),
            Case("endless header", .endless(text("HTTP/1.1 200 OK\r\nX: "), block), .malformedResponse),
            Case("endless headers", .endless(text("HTTP/1.1 200 OK\r\n"), fields), .malformedResponse),
            Case("endless status", .endless(text("HTTP/1.1 200 "), block), .malformedResponse),
            Case("no HTTP", .endless([], block), .malformedResponse),
            Case(
                "bad JSON",
                .last(text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{\"p")),
                .keyUnavailable(status: nil)
            ),
            Case(
                "zero key",
                .last(
                    text("HTTP/1.1 200 OK\r\nContent-Length: 85\r\n\r\n{\"publicKey\":\"mkey:")
                        + [UInt8](repeating: 0x30, count: 64) + text("\"}")
                ),
                .keyUnavailable(status: nil)
            ),
            Case("cut body", .last(text("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")), .malformedResponse),
            Case(
                "redirect",
                .last(text("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/key\r\nContent-Length: 0\r\n\r\n")),
                .keyUnavailable(status: 302)
            ),
            Case("nothing at all", .reply([]), .timedOut),
            Case("slow loris", .drip(text("HTTP/1.1 200 OK\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")), .timedOut),
            Case("end at once", .last([]), .connectionClosed),
        ]
    )
    func `costs little when it answers the question for its key with nonsense`(hostile: Case) async throws {
        try await check(try await ScriptedServer.start { _ in hostile.script }, hostile.expected)
    }

    @Test(
        arguments: [
            Case(
                "another protocol",
                .reply(text(switching.replacing("tailscale-", with: "other-"))),
                .upgradeRefused(status: 101)
            ),
            Case(
                "no upgrade",
                .last(text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
                .upgradeRefused(status: 200)
            ),
            Case(
                "an error page without end",
                .endless(text("HTTP/1.1 500 No\r\n\r\n"), block),
                .upgradeRefused(status: 500)
            ),
            Case("headers without end", .endless(text("HTTP/1.1 101 X\r\n"), fields), .malformedResponse),
            Case("an error frame", .reply(text(switching) + [3, 0, 2, 0x6E, 0x6F]), .handshakeFailed(.refusedByPeer)),
            Case("an unexpected frame", .reply(text(switching) + [4, 0, 16]), .handshakeFailed(.wrongType)),
            Case("a forged response", .endless(text(switching) + [2, 0, 48], block), .handshakeFailed(.notAuthentic)),
            Case("half a response", .reply(text(switching) + [2, 0, 48, 1, 2]), .timedOut),
            Case("a cut response", .last(text(switching) + [2, 0, 48, 1, 2]), .connectionClosed),
        ]
    )
    func `costs little when it spoils the upgrade or the handshake`(hostile: Case) async throws {
        let key = MachinePrivateKey().publicKey.text
        let body = #"{"publicKey":"\#(key)"}"#
        let reply = Self.text("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        try await check(
            try await ScriptedServer.start { $0.contains("/key") ? .last(reply) : hostile.script },
            hostile.expected
        )
    }

    @Test(
        arguments: [
            "javascript:alert(1)", "data:text/html,x", "https://user:password@login.example/a",
            "https://user@login.example",
            "https://login.example/a\nb", "https://" + String(repeating: "a", count: 10 << 10), "ftp://login.example",
            "https://", "https:///a", "file:///etc/passwd", "https://login.example\\@evil.example/",
        ]
    )
    func `shows no login URL that a person should not open, and says so`(url: String) {
        var registration = Registration()
        var generator = SystemRandomNumberGenerator()
        let key = NodePrivateKey().publicKey
        _ = registration.handle(.start(storedKey: key), using: &generator)
        var response = RegisterResponse()
        response.authURL = url
        let actions = registration.handle(.answered(response), using: &generator)
        guard case .refused(let text)? = actions.first, case .wait? = actions.last, actions.count == 2 else {
            Issue.record("\(actions)")
            return
        }
        #expect(!text.contains("login.example"))
        // An honest answer later is taken.
        _ = registration.handle(.waited, using: &generator)
        response.authURL = "https://login.example/a/1?b=c@d"
        #expect(registration.handle(.answered(response), using: &generator).first == .showAuthURL(response.authURL))
    }
}

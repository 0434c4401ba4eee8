import ControlPlane
import Coordination
import DERP
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import NetTypes
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto
import WarrenModel

@Suite("What is answered outside Noise", .timeLimit(.minutes(1)))
struct OuterSurfaceTests {
    /// A request, and what its answer begins with and contains.
    struct Case: Sendable, CustomTestStringConvertible {
        let request: String
        let status: Int
        var contains: [String] = []
        var headers = ""

        var testDescription: String { request }
    }

    static let cases = [
        Case(request: "GET /key?v=131", status: 200, contains: ["mkey:", "access-control-allow-origin: *"]),
        Case(request: "GET /key", status: 400), Case(request: "GET /key?v=x", status: 400),
        Case(request: "POST /key?v=131", status: 405, contains: ["allow: GET, HEAD"]),
        Case(request: "GET /derp/probe", status: 200, contains: ["access-control-allow-origin: *"]),
        Case(request: "HEAD /derp/probe", status: 200), Case(request: "PUT /derp/probe", status: 405),
        Case(request: "GET /derp/latency-check", status: 200, contains: ["access-control-allow-origin: *"]),
        Case(
            request: "GET /generate_204",
            status: 204,
            contains: ["x-tailscale-response: response ts_1:a.b-c", "no-store"],
            headers: "X-Tailscale-Challenge: ts_1:a.b-c\r\n"
        ),
        Case(request: "GET /bootstrap-dns?q=localhost", status: 200, contains: [#"{"localhost":["127.0.0.1"]}"#]),
        Case(request: "GET /bootstrap-dns?q=example.com", status: 200, contains: ["\r\n\r\n{}"]),
        Case(request: "GET /bootstrap-dns", status: 200, contains: ["\r\n\r\n{}"]),
        Case(request: "GET /health", status: 200, contains: ["pass"]), Case(request: "GET /", status: 200),
        Case(request: "GET /admin", status: 200, contains: ["text/html"]), Case(request: "DELETE /admin", status: 405),
        Case(request: "GET /robots.txt", status: 200), Case(request: "GET /nothing", status: 404),
        Case(request: "GET /login/none", status: 404), Case(request: "PUT /login/none", status: 405),
        Case(request: "POST /ts2021", status: 400), Case(request: "PUT /ts2021", status: 405),
        Case(request: "POST /machine/register", status: 404),
    ]

    @Test(arguments: cases)
    func `answers`(_ item: Case) async throws {
        var configuration = CoordinationConfiguration()
        configuration.publicURL = "http://localhost"
        try await withServer(in: StateDirectory(), configuration: configuration) { server in
            let text = "\(item.request) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\(item.headers)\r\n"
            let answer = try await exchange(server, text)
            #expect(answer.hasPrefix("HTTP/1.1 \(item.status) "), "\(answer)")
            for part in item.contains {
                #expect(answer.lowercased().contains(part.lowercased()), "\(answer)")
            }
            if item.request.hasPrefix("HEAD") { #expect(answer.hasSuffix("\r\n\r\n")) }
        }
    }

    @Test func `a challenge that could mean something in a header is not repeated`() async throws {
        try await withServer(in: StateDirectory()) { server in
            for challenge in ["a b", String(repeating: "a", count: 65), "<script>", "\u{e9}"] {
                let request = "GET /generate_204 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                let answer = try await exchange(server, request + "X-Tailscale-Challenge: \(challenge)\r\n\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 204") && !answer.contains("X-Tailscale-Response"))
            }
        }
    }

    @Test func `the server's own certificate is the one that it names, and its own nodes need none`() async throws {
        let directory = try StateDirectory()
        var configuration = CoordinationConfiguration()
        configuration.tls = .own
        var names: Set<String> = []
        for _ in 0..<2 {
            try await withServer(in: directory, configuration: configuration) { server in
                #expect(server.serverURL.hasPrefix("https://127.0.0.1:"))
                names.insert(try #require(server.certificateName))
                let request = "GET /key?v=131 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                let answer = try await exchangeOverTLS(server, request)
                #expect(answer.text.contains("mkey:"))
                let digest = SHA256.hash(answer.certificate.span)
                #expect(server.certificateName == "sha256-raw:" + digest.hex)

                let live = try LiveMachine("inside", url: server.localURL)
                let key = try await server.createAuthKey(CreateAuthKeyRequest()).key
                let response = try await live.client.register(live.machine.registration(authKey: key))
                #expect(response.error.isEmpty && response.machineAuthorized)
                await live.client.close()
            }
        }
        // Whoever compared the fingerprint once need not do it again.
        #expect(names.count == 1)
    }

    @Test func `login URLs lead to the public name, and the proxy in front is believed about its clients`() async throws
    {
        var configuration = CoordinationConfiguration()
        configuration.publicURL = "https://control.example.com"
        configuration.trustedProxies = ProxyTrust(prefixes: [try #require(IPPrefix("127.0.0.0/8"))])
        try await withServer(in: StateDirectory(), configuration: configuration) { server in
            let live = try LiveMachine("laptop", url: server.localURL)
            let response = try await live.client.register(live.machine.registration())
            #expect(response.authURL.hasPrefix("https://control.example.com/login/"))
            #expect(await server.registry.openLogins().first?.remoteAddress == "127.0.0.1")
            await live.client.close()
        }
    }
}

@Suite("ProxyTrust")
struct ProxyTrustTests {
    @Test(
        arguments: [
            ("192.0.2.9", ["198.51.100.1"], "192.0.2.9"), ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", ["1.2.3.4, 198.51.100.1, 10.0.0.7"], "198.51.100.1"),
            ("10.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"), ("10.0.0.1", [], "10.0.0.1"),
            ("10.0.0.1", ["<script>"], "10.0.0.1"), ("10.0.0.1", ["junk, 198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ] as [(String, [String], String)]
    )
    func `finds the client behind it`(peer: String, forwarded: [String], client: String) throws {
        let trust = ProxyTrust(prefixes: [try #require(IPPrefix("10.0.0.0/8"))])
        #expect(trust.client(of: IPAddress(peer), forwardedFor: forwarded) == IPAddress(client))
    }
}

import Foundation
import GuestNetwork
import NIOCore
import NIOPosix
import NetTypes
import NetWire
import TCP
import Testing

@Suite(
    "The resolver and Linux",
    .serialized,  // Each holds a namespace and a process.
    .enabled(if: KernelGuest.isPossible, "needs root, network namespaces and /dev/net/tun"),
    .timeLimit(.minutes(1))
)
struct KernelGuestTests {
    /// Answers `<count>.example.com` with so many octets of text.
    private static func answer(_ query: DNSQuery) -> [UInt8] {
        guard var message = try? DNSMessage(parsing: query.message.span) else { return [] }
        message.flags.isResponse = true
        message.flags.recursionAvailable = true
        message.additionals = []
        let count = Int(message.questions[0].name.labels.first ?? "") ?? 0
        message.answers = (0..<max(1, count / 200)).map { _ in
            let text = [UInt8](repeating: 120, count: min(count, 200))
            return DNSRecord(
                name: message.questions[0].name,
                lifetimeSeconds: 60,
                content: .other(.txt, [UInt8(text.count)] + text)
            )
        }
        guard case .datagram = query.client, let asked = try? DNSEnvelope(parsing: query.message),
            let whole = try? DNSEnvelope(parsing: message.bytes), whole.bytes.count > asked.payloadByteCount
        else { return message.bytes }
        return whole.truncated
    }

    private static func link() throws -> GuestLink {
        let link = GuestSide.link()
        let own = DNSZone.Node(name: try #require(DNSName("web.tail1.ts.net")), addresses: [.v4(GuestSide.address)])
        let db = DNSZone.Node(name: try #require(DNSName("db.tail1.ts.net")), addresses: [.v4(GuestSide.peer)])
        let upstream = DNSUpstream("100.64.0.53")
        link.setZone(DNSZone(own: own, peers: [db], isProxied: true, resolvers: [upstream]))
        return link
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/dig")))
    func `dig in a guest gets answers of every size, over UDP and TCP`() async throws {
        try await KernelGuest.with { guest in
            let link = NIOUncheckedBox(try Self.link())
            let channel = try await guest.connect { CableHandler(link.value, answer: Self.answer) }
            let cases: [(arguments: [String], expected: [String], refused: [String])] = [
                (["db.tail1.ts.net"], ["status: NOERROR", "100.64.0.2", "(UDP)"], []),
                (["+tcp", "db.tail1.ts.net"], ["100.64.0.2", "(TCP)", "flags: qr aa rd ra"], []),
                (["+tcp", "10.example.com", "TXT"], ["status: NOERROR", "ANSWER: 1,", "(TCP)"], []),
                // Too large for a datagram of 1232 octets: asked again over TCP.
                (["4000.example.com", "TXT"], ["ANSWER: 20,", "Truncated, retrying in TCP mode"], []),
                (["+notcp", "+ignore", "4000.example.com", "TXT"], ["flags: qr tc rd ra", "ANSWER: 0,"], []),
                (["+noedns", "+notcp", "+ignore", "900.example.com", "TXT"], ["qr tc rd", "ANSWER: 0,"], ["EDNS"]),
                // Larger than the link's packets: in fragments.
                (["+bufsize=4096", "+notcp", "3000.example.com", "TXT"], ["ANSWER: 15,", "(UDP)"], ["Truncated"]),
                (["+tcp", "60000.example.com", "TXT"], ["ANSWER: 300,", "(TCP)"], ["communications error"]),
                (
                    ["+tcp", "+keepopen", "db.tail1.ts.net", "200.example.com", "TXT"], ["100.64.0.2", "ANSWER: 1,"], []
                ),
            ]
            for (arguments, expected, refused) in cases {
                let output = try await guest.run(
                    inside: ["dig", "@100.100.100.100", "+tries=1", "+time=5", "+nosearch"] + arguments
                )
                for text in expected { #expect(output.contains(text), "dig \(arguments): \(output)") }
                for text in refused + ["malformed", "extra bytes", "timed out"] {
                    #expect(!output.contains(text), "dig \(arguments): \(output)")
                }
            }
            try await channel.close()
        }
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/dig")))
    func `dig over TCP gets its answer though frames are lost and overtaken`() async throws {
        try await KernelGuest.with { guest in
            let link = NIOUncheckedBox(try Self.link())
            let channel = try await guest.connect {
                CableHandler(link.value, lossPercent: 4, delayPercent: 10, answer: Self.answer)
            }
            let output = try await guest.run(
                inside: [
                    "dig", "@100.100.100.100", "+tries=1", "+time=20", "+nosearch", "+tcp", "60000.example.com", "TXT",
                ]
            )
            #expect(output.contains("ANSWER: 300,"), "\(output)")
            try await channel.close()
        }
    }

    @Test func `a connection to a server of Linux carries everything both ways over a bad cable`() async throws {
        try await KernelGuest.with { guest in
            let octets = (0..<150_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
            let loop = NIOSingletons.posixEventLoopGroup.next()
            let done = loop.makePromise(of: [UInt8].self)
            let server = """
                import socket
                listener = socket.create_server(('0.0.0.0', \(EchoClient.port)))
                stream, _ = listener.accept()
                while True:
                    octets = stream.recv(65536)
                    if not octets:
                        break
                    stream.sendall(octets)
                stream.close()
                """
            let link = NIOUncheckedBox(GuestSide.link())
            async let served = guest.run(inside: ["timeout", "50", "python3", "-c", server])
            let client = NIOUncheckedBox(EchoClient(octets, done: done))
            let channel = try await guest.connect {
                CableHandler(link.value, lossPercent: 1, delayPercent: 5, peer: client.value)
            }
            let echoed = try await done.futureResult.get()
            #expect(echoed == octets)
            _ = try await served
            try await channel.close()
        }
    }
}

/// Carries what one event loop will own to that loop.
struct NIOUncheckedBox<Value>: @unchecked Sendable {  // Nobody else touches the value once it is handed over.
    let value: Value

    init(_ value: Value) { self.value = value }
}

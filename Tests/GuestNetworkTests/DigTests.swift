import Foundation
import GuestNetwork
import NIOCore
import NIOPosix
import NetTypes
import NetWire
import Testing

/// Answers datagrams as the link's resolver does.
private final class ResolverHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let responder: MagicDNSResponder

    init(_ responder: MagicDNSResponder) {
        self.responder = responder
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let verdict = responder.answer(envelope.data.readableBytesUInt8Span) { 1 }
        guard case .reply(let bytes) = verdict else { return }
        let answer = AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: bytes))
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
    }
}

@Suite("MagicDNSResponder: asked by dig", .timeLimit(.minutes(1)))
struct DigTests {
    private static let dig = "/usr/bin/dig"

    private static func run(_ port: Int, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: dig)
        process.arguments = ["@127.0.0.1", "-p", "\(port)", "+tries=1", "+nosearch"] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self)
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: dig)))
    func `a real client understands every kind of answer`() async throws {
        let own = DNSZone.Node(name: try #require(DNSName("web.tail1.ts.net")), addresses: [.v4(GuestSide.address)])
        let db = DNSZone.Node(name: try #require(DNSName("db.tail1.ts.net")), addresses: [.v4(GuestSide.peer)])
        let zone = DNSZone(own: own, peers: [db], isProxied: true)
        let channel = try await DatagramBootstrap(group: NIOSingletons.posixEventLoopGroup)
            .channelInitializer { channel in
                channel.pipeline.addHandler(ResolverHandler(MagicDNSResponder(zone: zone)))
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        let cases: [(arguments: [String], expected: [String])] = [
            (["db.tail1.ts.net"], ["status: NOERROR", "100.64.0.2", "flags: qr aa rd ra"]),
            (["db"], ["100.64.0.2"]), (["-x", "100.64.0.2"], ["PTR\tdb.tail1.ts.net."]),
            (["nobody.tail1.ts.net", "AAAA"], ["status: NXDOMAIN", "SOA\ttail1.ts.net. tail1.ts.net. 1 10 10 10 10"]),
            (["db.tail1.ts.net", "NS"], ["status: NOTIMP"]), (["www.example.com"], ["status: SERVFAIL"]),
            (["192-168-1-2-via-7", "AAAA"], ["fd7a:115c:a1e0:b1a:0:7:c0a8:102"]),
            (["+noedns", "DB.tail1.TS.net", "TXT"], ["status: NOERROR", "ANSWER: 0"]),
        ]
        for (arguments, expected) in cases {
            let output = try Self.run(port, arguments)
            for text in expected { #expect(output.contains(text), "dig \(arguments): \(output)") }
            #expect(!output.contains("malformed") && !output.contains("extra bytes"), "\(output)")
        }
        try await channel.close()
    }
}

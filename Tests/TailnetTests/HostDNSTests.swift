import GuestNetwork
import Logging
import LoopbackSupport
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NetTypes
import NetWire
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

@testable import Tailnet

@Suite("The guest's resolver and the host's network", .timeLimit(.minutes(1))) struct HostDNSTests {
    private struct Closed: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { false }
    }

    /// Answers over UDP with a truncated message or a whole one, and over TCP always with a whole one.
    private static func answer(to query: [UInt8], isTruncated: Bool) -> [UInt8] {
        guard var message = try? DNSMessage(parsing: query.span) else { return [] }
        message.flags.isResponse = true
        message.flags.isTruncated = isTruncated
        message.additionals = []
        if !isTruncated {
            let content = DNSRecord.Content.other(.txt, [1, 65])
            message.answers = [DNSRecord(name: message.questions[0].name, lifetimeSeconds: 9, content: content)]
        }
        return message.bytes
    }

    private final class UDPServer: ChannelInboundHandler, Sendable {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>
        let fails: Bool
        init(fails: Bool) { self.fails = fails }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            var message = HostDNSTests.answer(to: Array(envelope.data.readableBytesView), isTruncated: false)
            // A refusal is no answer: nobody else is asked, and the guest hears of it.
            if fails { message[3] = message[3] & 0xF0 | 5 }
            let reply = AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: message))
            context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
        }
    }

    private final class TCPServer: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let octets = Array(unwrapInboundIn(data).readableBytesView)
            let message = HostDNSTests.answer(to: Array(octets.dropFirst(2)), isTruncated: false)
            var reply = ByteBuffer(integer: UInt16(message.count))
            reply.writeBytes(message)
            context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
        }
    }

    /// Answers a POST of RFC 8484; with `isHonest` false by a page.
    private final class HTTPServer: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let isHonest: Bool
        private var body: [UInt8] = []
        init(isHonest: Bool) { self.isHonest = isHonest }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head: body = []
            case .body(let part): body += part.readableBytesView
            case .end:
                let message = HostDNSTests.answer(to: body, isTruncated: false)
                let type = isHonest ? "application/dns-message" : "text/html"
                let headers: HTTPHeaders = ["Content-Type": type, "Content-Length": "\(message.count)"]
                context.write(
                    wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .ok, headers: headers))),
                    promise: nil
                )
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: message)))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }

    /// A resolver over HTTPS on loopback.
    private func httpsServer(_ certificate: LoopbackCertificate, isHonest: Bool = true) async throws -> any Channel {
        let context = try certificate.serverContext()
        return try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(HTTPServer(isHonest: isHonest))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    /// Has a guest ask the host's resolver, or those that the tailnet names.
    private func ask(
        _ rule: DNSForwardingRule,
        naming resolvers: [DNSResolver] = [],
        trusting certificate: LoopbackCertificate? = nil
    ) async throws -> DNSMessage {
        let guest = try await FakeGuest()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let path = guest.path
        let plane = try await loop.submit {
            var configuration = TailnetNodeConfiguration(
                controlURL: "http://127.0.0.1:1",
                preferences: NodePreferences(hostname: "node"),
                nicSocketPath: path,
                dialPolicy: Closed(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            )
            configuration.dnsForwarding = rule
            if let certificate {
                configuration.resolverTLS.trustRoots = .certificates([certificate.certificate])
            }
            configuration.udpBindAddress = .v4(.loopback)
            let plane = DataPlane(
                eventLoop: loop,
                nodeKey: NodePrivateKey(),
                configuration: configuration,
                isOneMachine: true,
                report: { _ in }
            )
            var node = Node(id: 1)
            node.name = "node1.example.net."
            node.addresses = [IPPrefix(.v4(NodePair.nearAddress))]
            var map = NetworkMap(selfNode: node)
            map.dnsConfig.resolvers = resolvers
            let network = PlaneNetwork(
                map: map,
                preferences: NodePreferences(hostname: "node"),
                forwarding: rule,
                now: ControlTime(seconds: 1_800_000_000)
            )
            plane.apply(network)
            return NIOLoopBound(plane, eventLoop: loop)
        }.get()
        try await loop.flatSubmit { plane.value.start() }.get()
        let question = DNSQuestion(name: try #require(DNSName("www.example.com")), type: .txt)
        let query = DNSMessage(identifier: 3, flags: DNSFlags(rawValue: 0x0100), questions: [question]).bytes
        let packet = UDPPacket.bytes(
            from: AddressPort(.v4(NodePair.nearAddress), port: 40_000),
            to: AddressPort(.v4(TailnetAddresses.serviceIPv4), port: 53),
            payload: query.span
        )
        try await guest.send(packet: try #require(packet))
        let answer = try #require(await guest.nextPacket())
        try await loop.submit { plane.value.stop() }.get()
        await guest.close()
        let payload = Array(answer[28...])
        return try DNSMessage(parsing: payload.span)
    }

    private func resolver(_ port: Int?) throws -> DNSForwardingRule {
        .host(resolvers: [AddressPort(.v4(.loopback), port: UInt16(try #require(port)))])
    }

    @Test(arguments: [false, true]) func `the host's resolver is asked over UDP`(fails: Bool) async throws {
        let server = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { $0.pipeline.addHandler(UDPServer(fails: fails)) }
            .bind(host: "127.0.0.1", port: 0).get()
        let message = try await ask(try resolver(server.localAddress?.port))
        #expect(message.flags.responseCode == (fails ? .refused : .success))
        #expect(message.answers.count == (fails ? 0 : 1) && message.identifier == 3)
        try await server.close()
    }

    @Test func `where nobody listens on UDP it is asked over TCP`() async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { $0.pipeline.addHandler(TCPServer()) }
            .bind(host: "127.0.0.1", port: 0).get()
        let message = try await ask(try resolver(server.localAddress?.port))
        #expect(message.flags.responseCode == .success && message.answers.count == 1)
        try await server.close()
    }

    private func named(_ server: any Channel, host: String = "localhost") throws -> DNSResolver {
        var resolver = DNSResolver(address: "https://\(host):\(try #require(server.localAddress?.port))/dns-query")
        resolver.bootstrapResolution = ["127.0.0.1"]
        return resolver
    }

    @Test func `a resolver over HTTPS is asked where the host's network may be used`() async throws {
        let certificate = try LoopbackCertificate()
        let server = try await httpsServer(certificate)
        let rule = DNSForwardingRule.host(resolvers: [AddressPort(.v4(.loopback), port: 1)])
        let message = try await ask(rule, naming: [try named(server)], trusting: certificate)
        #expect(message.flags.responseCode == .success && message.answers.count == 1 && message.identifier == 3)
        let blocked = try await ask(.tailnet, naming: [try named(server)], trusting: certificate)
        #expect(blocked.flags.responseCode == .serverFailure)
        try await server.close()
    }

    @Test func `a resolver over HTTPS that is somebody else, or answers with a page, is no resolver`() async throws {
        let certificate = try LoopbackCertificate()
        let rule = DNSForwardingRule.host(resolvers: [AddressPort(.v4(.loopback), port: 1)])
        let server = try await httpsServer(certificate)
        let stranger = try LoopbackCertificate()
        let unproven = try await ask(rule, naming: [try named(server)], trusting: stranger)
        #expect(unproven.flags.responseCode == .serverFailure)
        try await server.close()
        let page = try await httpsServer(certificate, isHonest: false)
        let message = try await ask(rule, naming: [try named(page)], trusting: certificate)
        #expect(message.flags.responseCode == .serverFailure)
        try await page.close()
    }

    @Test func `by default it is not asked at all`() async throws {
        let message = try await ask(.tailnet)
        #expect(message.flags.responseCode == .serverFailure)
    }
}

import GuestNetwork
import Logging
import NIOCore
import NIOPosix
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

    /// Has a guest ask the host's resolver, which is at `port`.
    private func ask(_ rule: DNSForwardingRule) async throws -> DNSMessage {
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
            let network = PlaneNetwork(
                map: NetworkMap(selfNode: node),
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

    @Test func `by default it is not asked at all`() async throws {
        let message = try await ask(.tailnet)
        #expect(message.flags.responseCode == .serverFailure)
    }
}

import Coordination
import DERP
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto

@Suite("DERPRelay over loopback TLS", .timeLimit(.minutes(1))) struct DERPRelayTests {
    private struct Everywhere: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { purpose == .derp }
    }

    private struct Nowhere: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { false }
    }

    /// A client whose events are read as a stream; everything it does happens on its loop.
    private final class TestClient: Sendable {
        let key: NodePrivateKey
        let events: AsyncStream<DERPEvent>
        private let loop: any EventLoop
        private let client: NIOLoopBound<DERPClient>

        init(
            _ region: DERPRegion,
            key: NodePrivateKey = NodePrivateKey(),
            policy: any DialPolicy = Everywhere(),
            loginDeadline: Duration = .seconds(10),
            started: @escaping @Sendable (DERPClient) -> Void = { _ in }
        ) async throws {
            let (events, continuation) = AsyncStream.makeStream(
                of: DERPEvent.self,
                bufferingPolicy: .bufferingNewest(1000)
            )
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            self.key = key
            self.events = events
            self.loop = loop
            client = try await loop.submit {
                let client = DERPClient(
                    region: region,
                    privateKey: key,
                    eventLoop: loop,
                    policy: policy,
                    logger: Logger(label: "test"),
                    loginDeadline: loginDeadline,
                    sink: { continuation.yield($0) }
                )
                client.start()
                started(client)
                return NIOLoopBound(client, eventLoop: loop)
            }.get()
        }

        func perform(_ body: @escaping @Sendable (DERPClient) -> Void) async throws {
            let client = client
            try await loop.submit { body(client.value) }.get()
        }

        func send(_ text: String, to peer: NodePublicKey) async throws {
            try await perform { client in
                client.send(ByteBuffer(string: text), to: peer)
                client.flush()
            }
        }

        func next() async throws -> DERPEvent {
            for await event in events { return event }
            throw DERPError.connectionClosed
        }
    }

    private func region(port: Int, certName: String) -> DERPRegion {
        var node = DERPNode(name: "900a", regionID: 900, hostName: "127.0.0.1")
        node.ipv4 = "127.0.0.1"
        node.ipv6 = "none"
        node.derpPort = port
        node.certName = certName
        return DERPRegion(regionID: 900, regionCode: "here", regionName: "Here", nodes: [node])
    }

    private func relay(
        admits: @escaping @Sendable (NodePublicKey) -> Bool = { _ in true },
        change: (inout DERPRelayConfiguration) -> Void = { _ in }
    ) async throws -> (DERPRelay, DERPRegion) {
        let certificate = try DERPCertificate.make(host: "127.0.0.1")
        var configuration = DERPRelayConfiguration(
            host: "127.0.0.1",
            port: 0,
            privateKey: NodePrivateKey(),
            certificate: certificate
        )
        change(&configuration)
        let relay = try await DERPRelay.start(
            configuration,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            logger: Logger(label: "test"),
            admits: admits
        )
        return (relay, region(port: relay.port, certName: certificate.certName))
    }

    @Test func `relays between two clients and says when one leaves`() async throws {
        let (relay, region) = try await relay()
        let key = try await relay.publicKey
        let first = try await TestClient(region)
        let second = try await TestClient(region)
        #expect(try await first.next() == .connected(serverKey: key))
        #expect(try await second.next() == .connected(serverKey: key))
        try await first.perform { $0.notePreferred(true) }
        try await first.send("hello", to: second.key.publicKey)
        #expect(try await second.next() == .received(from: first.key.publicKey, packet: ByteBuffer(string: "hello")))
        try await second.send("", to: first.key.publicKey)
        #expect(try await first.next() == .received(from: second.key.publicKey, packet: ByteBuffer()))
        try await first.perform { $0.ping(0x0102_0304_0506_0708) }
        #expect(try await first.next() == .pong(0x0102_0304_0506_0708))
        try await first.perform { $0.close() }
        #expect(try await second.next() == .peerGone(first.key.publicKey, .disconnected))
        let counters = try await relay.counters
        #expect(counters.relayedPackets == 2)
        #expect(counters.connections == 1)
        try await relay.shutdown()
        #expect(try await second.next() == .restarting(reconnectAfter: .seconds(1), tryFor: .seconds(60)))
        #expect(try await second.next() == .closed(.connectionClosed))
    }

    @Test func `keeps the order of many large packets`() async throws {
        let (relay, region) = try await relay()
        let first = try await TestClient(region)
        let second = try await TestClient(region)
        _ = try await first.next()
        _ = try await second.next()
        let target = second.key.publicKey
        for number in 0..<100 {
            try await first.perform { client in
                var packet = ByteBuffer(repeating: UInt8(number), count: 37 + 1300)
                packet.moveReaderIndex(forwardBy: 37)
                client.send(packet, to: target)
                client.flush()
            }
            guard case .received(_, let packet) = try await second.next() else {
                Issue.record("no packet")
                return
            }
            #expect(packet == ByteBuffer(repeating: UInt8(number), count: 1300))
        }
        try await first.perform { client in
            client.send(ByteBuffer(repeating: 0, count: (64 << 10) + 1), to: target)
            client.send(ByteBuffer(repeating: 7, count: 64 << 10), to: target)
            client.flush()
            #expect(client.droppedPackets == 1)
        }
        #expect(
            try await second.next()
                == .received(from: first.key.publicKey, packet: ByteBuffer(repeating: 7, count: 64 << 10))
        )
        try await relay.shutdown()
    }

    @Test func `keeps the latest packets while the connection is not up`() async throws {
        let (relay, region) = try await relay()
        let second = try await TestClient(region)
        _ = try await second.next()
        let target = second.key.publicKey
        let first = try await TestClient(region) { client in
            for number in 0..<40 { client.send(ByteBuffer(integer: UInt8(number)), to: target) }
            #expect(client.droppedPackets == 8)
        }
        for number in 8..<40 {
            let packet = ByteBuffer(integer: UInt8(number))
            #expect(try await second.next() == .received(from: first.key.publicKey, packet: packet))
        }
        try await relay.shutdown()
    }

    @Test func `drops what a client does not read, and then the client`() async throws {
        let (relay, region) = try await relay(change: { $0.writeDeadline = .seconds(1) })
        let sender = try await TestClient(region)
        _ = try await sender.next()
        let deaf = try await RawClient.connect(port: region.nodes[0].derpPort)
        let key = NodePrivateKey()
        try await deaf.executeThenClose { inbound, outbound in
            try await RawClient.logIn(inbound: inbound, outbound: outbound, key: key) {
                // Who got a packet from it is told when it is gone.
                let packet = DERPFrame.sendPacket(to: sender.key.publicKey, packet: ByteBuffer(string: "hello"))
                try await outbound.write(packet.encoded)
                _ = try await sender.next()
                try await flood(key.publicKey, from: sender, through: relay)
            }
        }
        try await relay.shutdown()
    }

    /// Sends until the target is given up; before that, packets give way.
    private func flood(_ target: NodePublicKey, from sender: TestClient, through relay: DERPRelay) async throws {
        // The buffers of sockets grow while they fill, so that only going on makes sure that something waits.
        while true {
            try await sender.perform { client in
                for _ in 0..<16 { client.send(ByteBuffer(repeating: 1, count: 60_000), to: target) }
                client.flush()
                client.ping(7)
            }
            let event = try await sender.next()
            if event == .peerGone(target, .disconnected) { break }
            #expect(event == .pong(7))
        }
        #expect(try await relay.counters.droppedPackets > 0)
    }

    @Test func `closes on frames that no client may send`() async throws {
        let (relay, region) = try await relay()
        let forbidden: [DERPFrame] = [
            .watchConnections, .closePeer(NodePrivateKey().publicKey), .malformed(.sendPacket),
            .malformed(.notePreferred),
            .sendPacket(to: NodePrivateKey().publicKey, packet: ByteBuffer(repeating: 0, count: (64 << 10) + 1)),
        ]
        for frame in forbidden {
            let client = try await RawClient.connect(port: region.nodes[0].derpPort)
            try await client.executeThenClose { inbound, outbound in
                try await RawClient.logIn(
                    inbound: inbound,
                    outbound: outbound,
                    key: NodePrivateKey(),
                    thenUntilClosed: frame
                )
            }
        }
        try await relay.shutdown()
    }

    @Test(
        arguments: [
            ("GET /derp/probe", "200 OK"), ("HEAD /derp/latency-check", "200 OK"), ("POST /derp/probe", "405"),
            ("GET /generate_204", "204 No Content"), ("GET /derp", "426 Upgrade Required"), ("GET /x", "404"),
        ] as [(String, String)]
    )
    func `answers what else is asked of a relay`(request: String, status: String) async throws {
        let (relay, region) = try await relay()
        let client = try await RawClient.connect(port: region.nodes[0].derpPort)
        try await client.executeThenClose { inbound, outbound in
            let text = "\(request) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Tailscale-Challenge: ts_x\r\n\r\n"
            try await outbound.write(ByteBuffer(string: text))
            var reply = ""
            for try await part in inbound { reply += String(buffer: part) }
            #expect(reply.hasPrefix("HTTP/1.1 \(status)"))
            #expect(reply.contains("X-Tailscale-Response: response ts_x") == request.hasSuffix("204"))
            #expect(reply.contains("Access-Control-Allow-Origin: *") == status.hasPrefix("200"))
        }
        try await relay.shutdown()
    }

    @Test func `tells of absent peers only for disco packets, and not often`() async throws {
        let (relay, region) = try await relay()
        let client = try await TestClient(region)
        _ = try await client.next()
        let absent = NodePrivateKey().publicKey
        let disco = "TS\u{1F4AC}" + String(repeating: "x", count: 80)
        // At once, so that a slow machine earns no more answers while it sends.
        try await client.perform { client in
            for _ in 0..<10 {
                client.send(ByteBuffer(string: "WireGuard"), to: absent)
                client.send(ByteBuffer(string: disco), to: absent)
            }
            client.flush()
            client.ping(1)
        }
        var answers = 0
        var event = try await client.next()
        while event == .peerGone(absent, .notHere) {
            answers += 1
            event = try await client.next()
        }
        #expect(event == .pong(1))
        #expect((3..<6).contains(answers))
        #expect(try await relay.counters.unroutablePackets == 20)
        try await relay.shutdown()
    }

    @Test func `lets the newest connection of a key receive, and the older one after it`() async throws {
        let (relay, region) = try await relay()
        let key = NodePrivateKey()
        let old = try await TestClient(region, key: key)
        _ = try await old.next()
        let new = try await TestClient(region, key: key)
        _ = try await new.next()
        let other = try await TestClient(region)
        _ = try await other.next()
        try await other.send("to the new one", to: key.publicKey)
        #expect(
            try await new.next() == .received(from: other.key.publicKey, packet: ByteBuffer(string: "to the new one"))
        )
        try await old.perform { $0.ping(1) }
        #expect(try await old.next() == .pong(1))
        try await other.send("to the old one", to: key.publicKey)
        #expect(
            try await old.next() == .received(from: other.key.publicKey, packet: ByteBuffer(string: "to the old one"))
        )
        try await relay.shutdown()
    }

    @Test func `refuses keys that are not registered, and lets go of those that no longer are`() async throws {
        let known = NodePrivateKey()
        let publicKey = known.publicKey
        let (relay, region) = try await relay(admits: { $0 == publicKey })
        let stranger = try await TestClient(region)
        #expect(try await stranger.next() == .closed(.connectionClosed))
        let client = try await TestClient(region, key: known)
        #expect(try await client.next() == .connected(serverKey: relay.publicKey))
        relay.disconnect(publicKey)
        #expect(try await client.next() == .closed(.connectionClosed))
        #expect(try await relay.counters.refusedLogins == 1)
        try await relay.shutdown()
    }

    @Test func `limits the connections of one key and one address`() async throws {
        let (relay, region) = try await relay(change: {
            $0.maximumConnectionsPerKey = 1
            $0.maximumConnectionsPerAddress = 3
        })
        let key = NodePrivateKey()
        let first = try await TestClient(region, key: key)
        #expect(try await first.next() == .connected(serverKey: relay.publicKey))
        let again = try await TestClient(region, key: key)
        #expect(try await again.next() == .closed(.connectionClosed))
        let second = try await TestClient(region)
        #expect(try await second.next() == .connected(serverKey: relay.publicKey))
        let third = try await TestClient(region)
        #expect(try await third.next() == .connected(serverKey: relay.publicKey))
        let fourth = try await TestClient(region)
        guard case .closed = try await fourth.next() else {
            Issue.record("a fourth connection was taken")
            return
        }
        try await relay.shutdown()
    }

    @Test func `accepts exactly the pinned certificate`() async throws {
        let (relay, region) = try await relay()
        var wrong = region
        wrong.nodes[0].certName = "sha256-raw:" + String(repeating: "01", count: 32)
        let pinned = try await TestClient(wrong)
        #expect(try await pinned.next() == .closed(.certificateRefused(.wrongHash)))
        wrong.nodes[0].certName = ""
        let trusting = try await TestClient(wrong)
        #expect(try await trusting.next() == .closed(.certificateRefused(.untrusted)))
        wrong.nodes[0].insecureForTests = true
        let careless = try await TestClient(wrong)
        #expect(try await careless.next() == .connected(serverKey: relay.publicKey))
        try await relay.shutdown()
    }

    @Test func `dials nothing that the policy forbids`() async throws {
        let (relay, region) = try await relay()
        let client = try await TestClient(region, policy: Nowhere())
        #expect(try await client.next() == .closed(.blockedByPolicy))
        let nowhere = try await TestClient(DERPRegion(regionID: 1, regionCode: "", regionName: "", nodes: []))
        #expect(try await nowhere.next() == .closed(.noUsableNode))
        try await relay.shutdown()
    }

    @Test(arguments: ["silence", "garbage", "not found", "no upgrade"])
    func `gives up a relay that hangs or talks nonsense`(kind: String) async throws {
        let certificate = try DERPCertificate.make(host: "127.0.0.1")
        let tls = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(try NIOSSLCertificate(bytes: certificate.der, format: .der))],
                privateKey: .privateKey(try NIOSSLPrivateKey(bytes: certificate.privateKeyDER, format: .der))
            )
        )
        let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    try channel.pipeline.syncOperations.addHandler(Nonsense(kind: kind))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let region = region(port: server.localAddress?.port ?? 0, certName: certificate.certName)
        let client = try await TestClient(region, loginDeadline: .milliseconds(kind == "silence" ? 500 : 10_000))
        let expected: DERPError =
            switch kind {
            case "silence": .timedOut
            case "garbage": .oversizedFrame
            case "not found": .upgradeRefused(status: 404)
            default: .badGreeting
            }
        #expect(try await client.next() == .closed(expected))
        try await server.close()
    }

    /// Answers the first octets in a way that no relay does.
    private final class Nonsense: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let kind: String

        init(kind: String) {
            self.kind = kind
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let text: String? =
                switch kind {
                case "silence": nil
                case "garbage":
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n\u{1}\u{10}\u{10}\u{10}\u{10}"
                case "not found": "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
                default: "SSH-2.0-OpenSSH_9.2\r\n"
                }
            guard let text else { return }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        }
    }
}

import DERP
import Logging
import LoopbackSupport
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NetTypes
import Tailcfg
import Testing
import Transport
import WarrenCrypto

@Suite("DERPClient over loopback", .timeLimit(.minutes(1))) struct DERPClientTests {
    /// A client whose events are read one by one; everything it does happens on its loop.
    private struct Relayed {
        let client: NIOLoopBound<DERPClient>
        let loop: any EventLoop
        private var events: AsyncStream<DERPEvent>.Iterator

        init(
            _ region: DERPRegion,
            key: NodePrivateKey = NodePrivateKey(),
            policy: any DialPolicy = LoopbackPolicy(),
            proxies: ProxySettings = .none,
            transport: StreamTransport = .auto
        ) async throws {
            let (stream, continuation) = AsyncStream.makeStream(
                of: DERPEvent.self,
                bufferingPolicy: .bufferingOldest(100)
            )
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            self.loop = loop
            events = stream.makeAsyncIterator()
            client = try await loop.submit {
                let client = DERPClient(
                    region: region,
                    privateKey: key,
                    eventLoop: loop,
                    policy: policy,
                    proxies: proxies,
                    transport: transport,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                    sink: { continuation.yield($0) }
                )
                client.start()
                return NIOLoopBound(client, eventLoop: loop)
            }.get()
        }

        mutating func next() async throws -> DERPEvent {
            try #require(await events.next(isolation: #isolation))
        }

        func close() async throws {
            let client = client
            try await loop.submit { client.value.close() }.get()
        }
    }

    private func node(_ name: String, port: Int, host: String = "localhost") -> DERPNode {
        var node = DERPNode(name: name, regionID: 1, hostName: host)
        node.ipv4 = "127.0.0.1"
        node.ipv6 = "none"
        node.derpPort = port
        node.insecureForTests = true
        return node
    }

    private func region(_ nodes: DERPNode...) -> DERPRegion {
        DERPRegion(regionID: 1, regionCode: "t", regionName: "Test", nodes: nodes)
    }

    @Test(arguments: StreamTransport.allCases, [Set<LoopbackRelay.Carrier>([.raw, .webSocket]), [.webSocket]])
    func `carries the largest packet whatever carries the frames`(
        transport: StreamTransport,
        carriers: Set<LoopbackRelay.Carrier>
    ) async throws {
        let relay = try await LoopbackRelay.start(try LoopbackCertificate(), carriers: carriers)
        let key = NodePrivateKey()
        var relayed = try await Relayed(region(node("1a", port: relay.port)), key: key, transport: transport)
        guard case .connected = try await relayed.next() else {
            Issue.record("not connected")
            return
        }
        let client = relayed.client
        let byWebSocket = transport == .webSocket || !carriers.contains(.raw)
        #expect(try await relayed.loop.submit { client.value.usesWebSocket }.get() == byWebSocket)
        let packet = ByteBuffer(bytes: (0..<DERPConstants.maximumPacketByteCount).map { UInt8(truncatingIfNeeded: $0) })
        try await relayed.loop.submit {
            client.value.send(packet, to: key.publicKey)
            client.value.flush()
        }.get()
        #expect(try await relayed.next() == .received(from: key.publicKey, packet: packet))
        #expect(relay.requests.last?.headers.contains(name: "Ideal-Node") == false)
        try await relayed.close()
        try await relay.stop()
    }

    @Test func `keeps to WebSocket when it is asked to, and tells a refusal of both`() async throws {
        let onlyRaw = try await LoopbackRelay.start(try LoopbackCertificate(), carriers: [.raw])
        var strict = try await Relayed(region(node("1a", port: onlyRaw.port)), transport: .webSocket)
        #expect(try await strict.next() == .closed(.upgradeRefused(status: 426)))
        try await onlyRaw.stop()
        let neither = try await LoopbackRelay.start(try LoopbackCertificate(), carriers: [])
        var any = try await Relayed(region(node("1a", port: neither.port)))
        #expect(try await any.next() == .closed(.upgradeRefused(status: 426)))
        try await neither.stop()
    }

    @Test func `takes the nodes in their order, leaves out those for STUN, and names the one it wanted`() async throws {
        let relay = try await LoopbackRelay.start(try LoopbackCertificate())
        var stunOnly = node("1s", port: relay.port)
        stunOnly.stunOnly = true
        // Nothing listens on port 1 of this host.
        var relayed = try await Relayed(region(node("1a", port: 1), stunOnly, node("1b", port: relay.port)))
        guard case .connected = try await relayed.next() else {
            Issue.record("not connected")
            return
        }
        #expect(relay.requests.map { $0.headers["Ideal-Node"] } == [["1a"]])
        try await relayed.close()

        var disabled = node("1a", port: relay.port)
        disabled.ipv4 = "none"
        var nowhere = try await Relayed(region(disabled))
        #expect(try await nowhere.next() == .closed(.noUsableNode))
        var only = try await Relayed(region(stunOnly))
        #expect(try await only.next() == .closed(.noUsableNode))
        var forbidden = try await Relayed(
            region(node("1a", port: relay.port)),
            policy: LoopbackPolicy(permitsLoopback: false)
        )
        #expect(try await forbidden.next() == .closed(.blockedByPolicy))
        try await relay.stop()
    }

    @Test(arguments: [nil, "derpkey" + String(repeating: "ab", count: 32), "other"])
    func `accepts a pinned certificate, with a meta certificate and nothing else behind it`(
        extra: String?
    ) async throws {
        let certificate = try LoopbackCertificate(metaName: extra)
        let relay = try await LoopbackRelay.start(certificate)
        let der = try certificate.certificate.toDERBytes()
        let hash = SHA256.hash(der.span)
        var pinned = node("1a", port: relay.port)
        pinned.insecureForTests = false
        pinned.certName = "sha256-raw:\(hash.hexText)"
        var relayed = try await Relayed(region(pinned))
        switch (extra, try await relayed.next()) {
        case ("other", let event): #expect(event == .closed(.certificateRefused(.tooMany)))
        case (_, .connected): break
        case (_, let event): Issue.record("\(event)")
        }
        try await relayed.close()
        pinned.certName = "sha256-raw:" + String(repeating: "00", count: 32)
        var wrong = try await Relayed(region(pinned))
        let refused = try await wrong.next()
        #expect(refused == .closed(.certificateRefused(extra == "other" ? .tooMany : .wrongHash)))
        pinned.certName = ""
        var untrusted = try await Relayed(region(pinned))
        #expect(try await untrusted.next() == .closed(.certificateRefused(.untrusted)))
        try await relay.stop()
    }

    @Test func `tells an expired pin and one for another host`() async throws {
        for (certificate, host, fault) in [
            (try LoopbackCertificate(isExpired: true), "localhost", DERPCertificateFault.expired),
            (try LoopbackCertificate(), "other.example", .wrongHost),
        ] {
            let relay = try await LoopbackRelay.start(certificate)
            let der = try certificate.certificate.toDERBytes()
            let hash = SHA256.hash(der.span)
            var pinned = node("1a", port: relay.port, host: host)
            pinned.insecureForTests = false
            pinned.certName = "sha256-raw:\(hash.hexText)"
            var relayed = try await Relayed(region(pinned))
            #expect(try await relayed.next() == .closed(.certificateRefused(fault)))
            try await relay.stop()
        }
    }

    @Test func `goes through a proxy, which is asked for the name`() async throws {
        let relay = try await LoopbackRelay.start(try LoopbackCertificate())
        let proxy = try await ConnectProxy.start(leadingTo: relay.port)
        let settings = ProxySettings(
            proxy: HTTPProxy("http://user:secret@127.0.0.1:\(proxy.port)"),
            noProxy: "direct.example"
        )
        var elsewhere = node("1a", port: 0, host: "relay.example")
        elsewhere.ipv4 = ""
        var relayed = try await Relayed(region(elsewhere), proxies: settings)
        guard case .connected = try await relayed.next() else {
            Issue.record("not connected")
            return
        }
        #expect(proxy.requests.first?.first == "CONNECT relay.example:443 HTTP/1.1")
        #expect(proxy.requests.first?.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=") == true)
        try await relayed.close()

        let refusing = try await ConnectProxy.start(
            leadingTo: relay.port,
            reply: "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        )
        let name = "127.0.0.1:\(refusing.port)"
        var refused = try await Relayed(
            region(elsewhere),
            proxies: ProxySettings(proxy: HTTPProxy("http://u:secret@\(name)"), noProxy: "")
        )
        #expect(try await refused.next() == .closed(.proxyRefused(name, status: 407)))
        try await refusing.stop()
        var absent = try await Relayed(
            region(elsewhere),
            proxies: ProxySettings(proxy: HTTPProxy("http://u:secret@\(name)"), noProxy: "")
        )
        #expect(try await absent.next() == .closed(.proxyUnreachable(name)))
        try await proxy.stop()
        try await relay.stop()
    }

    @Test func `gives up a relay that never finishes its greeting`() async throws {
        let silent = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: 0).get()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let region = region(node("1a", port: silent.localAddress?.port ?? 0))
        let (stream, continuation) = AsyncStream.makeStream(of: DERPEvent.self, bufferingPolicy: .bufferingOldest(4))
        let client = try await loop.submit {
            let client = DERPClient(
                region: region,
                privateKey: NodePrivateKey(),
                eventLoop: loop,
                policy: LoopbackPolicy(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                loginDeadline: .milliseconds(100),
                sink: { continuation.yield($0) }
            )
            client.start()
            return NIOLoopBound(client, eventLoop: loop)
        }.get()
        var events = stream.makeAsyncIterator()
        #expect(await events.next(isolation: #isolation) == .closed(.timedOut))
        _ = client
        try await silent.close()
    }
}

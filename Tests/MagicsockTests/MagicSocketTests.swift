import Logging
import Magicsock
import NIOCore
import NIOPosix
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto

@Suite("MagicSocket", .timeLimit(.minutes(1))) struct MagicSocketTests {
    /// A socket with everything that a test wants to see of it, confined to one loop.
    final class Node: MagicSocketSink {
        enum Event: Sendable, Equatable {
            case datagram([UInt8])
            case path(AddressPort?)
            case report(MagicSocketReport)
        }

        let key = NodePrivateKey()
        let socket: MagicSocket
        let events: AsyncStream<Event>
        let continuation: AsyncStream<Event>.Continuation

        init(eventLoop: any EventLoop, relay: FakeRelay, port: UInt16 = 0) {
            var configuration = MagicSocketConfiguration(
                dialPolicy: OpenPolicy(),
                relayDialer: relay,
                logger: Logger(label: "test")
            )
            configuration.bindAddress = .v4(.loopback)
            configuration.port = port
            socket = MagicSocket(eventLoop: eventLoop, nodeKey: key, configuration: configuration)
            (events, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(1024))
        }

        func magicSocketReceived(_ datagram: Span<UInt8>, from source: AddressPort, relayed: MagicPeer?) {
            continuation.yield(.datagram(datagram.array))
        }
        func magicSocketReadComplete() {}
        func magicSocketWritabilityChanged() {}
        func magicSocketPathChanged(_ peer: MagicPeer) { continuation.yield(.path(peer.endpoint.best?.address)) }
        func magicSocketReportChanged(_ report: MagicSocketReport) { continuation.yield(.report(report)) }
    }

    /// Two nodes and a relay on one loop.
    final class Pair {
        let relay = FakeRelay()
        let alice: Node
        let bob: Node

        init(eventLoop: any EventLoop, alicePort: UInt16 = 0) {
            alice = Node(eventLoop: eventLoop, relay: relay, port: alicePort)
            bob = Node(eventLoop: eventLoop, relay: relay)
        }

        func introduce(alice aliceEndpoints: [AddressPort], bob bobEndpoints: [AddressPort]) {
            _ = alice.socket.setPeers([description(of: bob, bobEndpoints)])
            _ = bob.socket.setPeers([description(of: alice, aliceEndpoints)])
        }

        private func description(of node: Node, _ endpoints: [AddressPort]) -> MagicPeerDescription {
            MagicPeerDescription(
                nodeKey: node.key.publicKey,
                discoKey: node.socket.discoPublicKey,
                homeDERP: 1,
                endpoints: endpoints
            )
        }
    }

    static let map: DERPMap = {
        var node = DERPNode(name: "1a", regionID: 1, hostName: "127.0.0.1")
        node.stunPort = -1
        return DERPMap(regions: [1: DERPRegion(regionID: 1, regionCode: "one", regionName: "One", nodes: [node])])
    }()

    @Test func `begins by relay and goes direct once the endpoints are known`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let pair = try await loop.submit {
            let pair = Pair(eventLoop: loop)
            return NIOLoopBound(pair, eventLoop: loop)
        }.get()
        let (aliceEvents, bobEvents) = try await loop.submit { (pair.value.alice.events, pair.value.bob.events) }.get()
        try await loop.flatSubmit {
            pair.value.alice.socket.start(sink: pair.value.alice).and(pair.value.bob.socket.start(sink: pair.value.bob))
        }.map { _ in () }.get()
        try await loop.submit {
            pair.value.alice.socket.setDERPMap(Self.map)
            pair.value.bob.socket.setDERPMap(Self.map)
            pair.value.introduce(alice: [], bob: [])
        }.get()

        var fromAlice = aliceEvents.makeAsyncIterator()
        var fromBob = bobEvents.makeAsyncIterator()
        guard case .report(let aliceReport) = await fromAlice.next(), case .report(let bobReport) = await fromBob.next()
        else {
            Issue.record("no report")
            return
        }
        #expect(aliceReport.netInfo.preferredDERP == 1)
        #expect(aliceReport.endpoints.map(\.address.address) == [.v4(.loopback)])

        try await loop.submit { Self.send([4, 0, 0, 0, 1], from: pair.value.alice, to: pair.value.bob) }.get()
        #expect(await fromBob.next() == .datagram([4, 0, 0, 0, 1]))
        let relayed = try await loop.submit { pair.value.relay.packets }.get()
        #expect(relayed == 1)
        let path = try await loop.submit { Self.path(of: pair.value.bob, at: pair.value.alice) }.get()
        #expect(path == .relay(code: "one"))

        try await loop.submit {
            pair.value.introduce(
                alice: aliceReport.endpoints.map(\.address),
                bob: bobReport.endpoints.map(\.address)
            )
            Self.send([4, 0, 0, 0, 2], from: pair.value.alice, to: pair.value.bob)
        }.get()
        #expect(await fromAlice.next() == .path(bobReport.endpoints.first?.address))
        #expect(await Self.nextDatagram(&fromBob) == [4, 0, 0, 0, 2])
        let before = try await loop.submit { pair.value.relay.packets }.get()
        try await loop.submit {
            for index in 0..<100 {
                Self.send(
                    [UInt8](repeating: UInt8(index), count: index < 99 ? 1200 : 7),
                    from: pair.value.alice,
                    to: pair.value.bob,
                    flush: index == 99
                )
            }
        }.get()
        for index in 0..<100 {
            let octets = await Self.nextDatagram(&fromBob)
            #expect(octets?.first == UInt8(index))
            #expect(octets?.count == (index < 99 ? 1200 : 7))
        }
        let after = try await loop.submit { pair.value.relay.packets }.get()
        #expect(after == before)
        let direct = try await loop.submit { Self.path(of: pair.value.bob, at: pair.value.alice) }.get()
        #expect(direct == .direct(try #require(bobReport.endpoints.first?.address)))
        try await loop.submit {
            pair.value.alice.socket.close()
            pair.value.bob.socket.close()
        }.get()
    }

    @Test func `a call-me-maybe alone lets a peer without published endpoints be reached directly`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let pair = try await loop.submit { NIOLoopBound(Pair(eventLoop: loop), eventLoop: loop) }.get()
        let bobEvents = try await loop.submit { pair.value.bob.events }.get()
        try await loop.flatSubmit {
            pair.value.alice.socket.start(sink: pair.value.alice).and(pair.value.bob.socket.start(sink: pair.value.bob))
        }.map { _ in () }.get()
        try await loop.submit {
            pair.value.alice.socket.setDERPMap(Self.map)
            pair.value.bob.socket.setDERPMap(Self.map)
            // Alice knows a dead address of Bob, Bob knows nothing of Alice.
            pair.value.introduce(alice: [], bob: [AddressPort(.v4(.loopback), port: 9)])
            Self.send([1], from: pair.value.alice, to: pair.value.bob)
        }.get()
        // Bob answers the call with pings from his address, which makes him a candidate of Alice and her his best path.
        for await event in bobEvents {
            if case .path(let address) = event, address != nil { break }
        }
        try await loop.submit {
            pair.value.alice.socket.close()
            pair.value.bob.socket.close()
        }.get()
    }

    @Test func `a port that is taken is replaced by another`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let squatter = try await DatagramBootstrap(group: loop).bind(host: "127.0.0.1", port: 0).get()
        let taken = UInt16(try #require(squatter.localAddress?.port))
        let pair = try await loop.submit { NIOLoopBound(Pair(eventLoop: loop, alicePort: taken), eventLoop: loop) }
            .get()
        try await loop.flatSubmit { pair.value.alice.socket.start(sink: pair.value.alice) }.get()
        let ports = try await loop.submit { pair.value.alice.socket.localAddresses.map(\.port) }.get()
        #expect(ports.count == 1)
        #expect(ports != [taken])
        try await loop.submit { pair.value.alice.socket.close() }.get()
        try await squatter.close()
    }

    @Test func `home is redialled when the relay ends the connection`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let pair = try await loop.submit { NIOLoopBound(Pair(eventLoop: loop), eventLoop: loop) }.get()
        let events = try await loop.submit { pair.value.alice.events }.get()
        try await loop.flatSubmit { pair.value.alice.socket.start(sink: pair.value.alice) }.get()
        try await loop.submit { pair.value.alice.socket.setDERPMap(Self.map) }.get()
        var iterator = events.makeAsyncIterator()
        _ = await iterator.next()
        var dials = 0
        try await loop.submit {
            let key = pair.value.alice.key.publicKey
            #expect(pair.value.relay.connections[key]?.isPreferred == true)
            pair.value.relay.connections[key]?.events(.closed)
        }.get()
        while dials < 2 {
            dials = try await loop.scheduleTask(in: .milliseconds(2)) { pair.value.relay.dials }.futureResult.get()
        }
        try await loop.submit { pair.value.alice.socket.close() }.get()
    }

    @Test func `packets of strangers and unsealed disco are dropped and counted`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let pair = try await loop.submit { NIOLoopBound(Pair(eventLoop: loop), eventLoop: loop) }.get()
        let events = try await loop.submit { pair.value.alice.events }.get()
        try await loop.flatSubmit { pair.value.alice.socket.start(sink: pair.value.alice) }.get()
        try await loop.submit {
            pair.value.alice.socket.setDERPMap(Self.map)
            pair.value.introduce(alice: [], bob: [])
        }.get()
        var iterator = events.makeAsyncIterator()
        _ = await iterator.next()
        let drops = try await loop.submit {
            let connection = pair.value.relay.connections[pair.value.alice.key.publicKey]
            connection?.events(.received(from: NodePrivateKey().publicKey, packet: ByteBuffer(bytes: [4, 0, 0, 0])))
            let garbage: [UInt8] = [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC] + [UInt8](repeating: 7, count: 100)
            connection?.events(.received(from: pair.value.bob.key.publicKey, packet: ByteBuffer(bytes: garbage)))
            return pair.value.alice.socket.drops
        }.get()
        #expect(drops.unknownPeer == 1)
        #expect(drops.badDisco == 1)
        try await loop.submit { pair.value.alice.socket.close() }.get()
    }

    @Test func `a ping is answered by relay at first and directly once the path is proven`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let pair = try await loop.submit { NIOLoopBound(Pair(eventLoop: loop), eventLoop: loop) }.get()
        let events = try await loop.submit { pair.value.alice.events }.get()
        try await loop.flatSubmit {
            pair.value.alice.socket.start(sink: pair.value.alice).and(pair.value.bob.socket.start(sink: pair.value.bob))
        }.map { _ in () }.get()
        let bobPort = try await loop.submit {
            pair.value.alice.socket.setDERPMap(Self.map)
            pair.value.bob.socket.setDERPMap(Self.map)
            pair.value.introduce(alice: [], bob: [])
            return pair.value.bob.socket.localAddresses.first
        }.get()
        let ping = { @Sendable () -> EventLoopFuture<PathPing> in
            guard let bob = pair.value.alice.socket.peer(pair.value.bob.key.publicKey) else {
                return loop.makeFailedFuture(PathPingError.noDisco)
            }
            return pair.value.alice.socket.ping(bob)
        }
        let relayed = try await loop.flatSubmit(ping).get()
        #expect(relayed.way == .relay(1, code: "one"))
        #expect(relayed.latency > .zero)
        try await loop.submit { pair.value.introduce(alice: [], bob: [bobPort].compactMap { $0 }) }.get()
        _ = try await loop.flatSubmit(ping).get()
        for await event in events {
            if case .path(let address) = event, address != nil { break }
        }
        let direct = try await loop.flatSubmit(ping).get()
        #expect(direct.way == .direct(try #require(bobPort)))
        let status = try await loop.submit {
            pair.value.alice.socket.peer(pair.value.bob.key.publicKey).map { pair.value.alice.socket.status(of: $0) }
        }.get()
        #expect(status?.regionCode == "one")
        #expect(status?.endpoints.map(\.sources) == [[.netmap]] || status?.endpoints.first?.sources.count == 2)
        #expect(status?.endpoints.first?.pongAge != nil)
        let summary = try await loop.submit { pair.value.alice.socket.netCheck }.get()
        #expect(summary?.homeCode == "one")
        let unanswered = try await loop.submit {
            pair.value.bob.socket.close()
            return ping()
        }.get()
        try await loop.submit { pair.value.alice.socket.close() }.get()
        await #expect(throws: PathPingError.closed) { try await unanswered.get() }
    }

    private static func regions(_ count: Int64) -> DERPMap {
        let regions = (1...count).map { number in
            let id = DERPRegionID(rawValue: number)
            var node = DERPNode(name: "\(number)a", regionID: id, hostName: "127.0.0.1")
            node.stunPort = -1
            return DERPRegion(regionID: id, regionCode: "r\(number)", regionName: "", nodes: [node])
        }
        return DERPMap(regions: Dictionary(uniqueKeysWithValues: regions.map { ($0.regionID, $0) }))
    }

    /// A pair whose relays are in the map, and the home of Alice once it is chosen.
    private func pair(regions: Int64, prepare: @escaping @Sendable (Pair) -> Void) async throws
        -> (NIOLoopBound<Pair>, MagicSocketReport)
    {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let pair = try await loop.submit { NIOLoopBound(Pair(eventLoop: loop), eventLoop: loop) }.get()
        let events = try await loop.submit { pair.value.alice.events }.get()
        try await loop.flatSubmit { pair.value.alice.socket.start(sink: pair.value.alice) }.get()
        try await loop.submit {
            prepare(pair.value)
            pair.value.alice.socket.setDERPMap(Self.regions(regions))
        }.get()
        for await event in events {
            if case .report(let report) = event { return (pair, report) }
        }
        throw CancellationError()
    }

    @Test func `where no STUN server answers, the nearest region by HTTPS is home`() async throws {
        let (pair, report) = try await pair(regions: 5) { pair in
            pair.relay.distances = [2: .milliseconds(40), 3: .milliseconds(9), 5: .milliseconds(90)]
        }
        #expect(report.netInfo.preferredDERP == 3)
        #expect(report.netInfo.workingUDP == false)
        let (measured, summary) = try await pair.eventLoop.submit {
            (pair.value.relay.measured, pair.value.alice.socket.netCheck)
        }.get()
        #expect(measured.sorted() == [1, 2, 3, 4, 5])
        #expect(summary?.regions.map(\.latencyHTTPS)[2] == .milliseconds(9))
        #expect(summary?.hasUDP == false)
        try await pair.eventLoop.submit { pair.value.alice.socket.close() }.get()
    }

    @Test func `a change of the local network has the relay prove itself`() async throws {
        let (pair, _) = try await pair(regions: 1) { _ in }
        let loop = pair.eventLoop
        let first = try await loop.submit {
            let connection = pair.value.relay.connections[pair.value.alice.key.publicKey]
            connection?.answersPings = false
            pair.value.alice.socket.localNetworkChanged()
            return NIOLoopBound(connection, eventLoop: loop)
        }.get()
        // Three seconds without any frame later the connection is taken for dead and opened anew.
        while try await loop.scheduleTask(in: .milliseconds(50), { pair.value.relay.dials }).futureResult.get() < 2 {}
        try await loop.submit {
            #expect(first.value?.pings == 1)
            pair.value.alice.socket.close()
        }.get()
    }

    @Test func `a relay that ends every login is called ever more slowly`() async throws {
        let (pair, _) = try await pair(regions: 1) { _ in }
        let loop = pair.eventLoop
        let start = NIODeadline.now()
        for dials in 1...6 {
            while try await loop.scheduleTask(in: .milliseconds(2), { pair.value.relay.dials }).futureResult.get()
                < dials
            {}
            try await loop.submit {
                pair.value.relay.connections[pair.value.alice.key.publicKey]?.events(.closed)
            }.get()
        }
        // Ten, forty, ninety, … milliseconds, each times at least one half.
        #expect(NIODeadline.now() - start > .milliseconds(250))
        let status = try await loop.submit { pair.value.alice.socket.relays }.get()
        #expect(status.map(\.state) == [.waiting])
        #expect(status.first?.isHome == true)
        try await loop.submit { pair.value.alice.socket.close() }.get()
    }

    @Test func `what a relay complains about is shown until it is content`() async throws {
        let (pair, _) = try await pair(regions: 1) { _ in }
        let problems = try await pair.eventLoop.submit {
            let connection = pair.value.relay.connections[pair.value.alice.key.publicKey]
            connection?.events(.health("two of you"))
            let during = pair.value.alice.socket.relays.first?.problem
            connection?.events(.health(nil))
            let after = pair.value.alice.socket.relays.first?.problem
            pair.value.alice.socket.close()
            return [during, after]
        }.get()
        #expect(problems == ["two of you", nil])
    }

    @Test func `where only relays are allowed no datagram leaves, and control is told of no address`() async throws {
        let (pair, report) = try await pair(regions: 1) { pair in
            var switches = MagicSocketSwitches()
            switches.relayOnly = true
            pair.alice.socket.setSwitches(switches)
        }
        #expect(report.endpoints == [.placeholder])
        let loop = pair.eventLoop
        let silent = try await DatagramBootstrap(group: loop).bind(host: "127.0.0.1", port: 0).get()
        let port = UInt16(try #require(silent.localAddress?.port))
        try await loop.submit {
            pair.value.introduce(alice: [], bob: [AddressPort(.v4(.loopback), port: port)])
            Self.send([1], from: pair.value.alice, to: pair.value.bob)
            #expect(pair.value.relay.packets == 1)
            pair.value.alice.socket.close()
        }.get()
        try await silent.close()
    }

    @Test func `a peer of plain WireGuard is reached where it answers first, and never by relay`() async throws {
        let (pair, _) = try await pair(regions: 1) { _ in }
        let loop = pair.eventLoop
        let (received, continuation) = AsyncStream.makeStream(of: SocketAddress.self)
        let server = try await DatagramBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Echo { continuation.yield($0) })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = UInt16(try #require(server.localAddress?.port))
        let (dead, alive) = (AddressPort(.v4(.loopback), port: 9), AddressPort(.v4(.loopback), port: port))
        let key = NodePrivateKey().publicKey
        let events = try await loop.submit { pair.value.alice.events }.get()
        try await loop.submit {
            let socket = pair.value.alice.socket
            let description = MagicPeerDescription(
                nodeKey: key,
                discoKey: .zero,
                homeDERP: .none,
                endpoints: [dead, alive],
                isWireGuardOnly: true
            )
            let peer = socket.setPeers([description])[0]
            socket.send(([1] + [UInt8](repeating: 0, count: 147)).span, to: peer, now: socket.now)
            socket.flush()
        }.get()
        for await _ in received { break }
        for await event in events {
            if case .datagram = event { break }
        }
        try await loop.submit {
            let socket = pair.value.alice.socket
            let peer = try #require(socket.peer(key))
            // The tunnel finds the answer authentic.
            peer.noteAnswered(byteCount: 148)
            #expect(socket.status(of: peer).path == .direct(alive))
            #expect(pair.value.relay.packets == 0)
            socket.close()
        }.get()
        try await server.close()
    }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        private let received: @Sendable (SocketAddress) -> Void
        init(_ received: @escaping @Sendable (SocketAddress) -> Void) { self.received = received }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received(unwrapInboundIn(data).remoteAddress)
            context.writeAndFlush(data, promise: nil)
        }
    }

    private static func send(_ octets: [UInt8], from node: Node, to peer: Node, flush: Bool = true) {
        guard let path = node.socket.peer(peer.key.publicKey) else { return }
        node.socket.send(octets.span, to: path, now: node.socket.now)
        if flush { node.socket.flush() }
    }

    private static func nextDatagram(_ events: inout AsyncStream<Node.Event>.Iterator) async -> [UInt8]? {
        while let event = await events.next(isolation: #isolation) {
            if case .datagram(let octets) = event { return octets }
        }
        return nil
    }

    private static func path(of peer: Node, at node: Node) -> PeerPathStatus.Path? {
        node.socket.peer(peer.key.publicKey).map { node.socket.status(of: $0).path }
    }
}

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

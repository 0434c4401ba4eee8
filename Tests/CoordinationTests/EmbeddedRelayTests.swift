import ControlPlane
import Coordination
import DERP
import Logging
import NIOCore
import NIOPosix
import NetTypes
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

@Suite("The relay of the embedded server", .timeLimit(.minutes(1)))
struct EmbeddedRelayTests {
    private struct Loopback: DialPolicy {
        func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { address.isLoopback }
    }

    /// A relay connection whose events are read one by one; everything it does happens on its loop.
    private struct RelayClient {
        private let client: NIOLoopBound<DERPClient>
        private let loop: any EventLoop
        private var events: AsyncStream<DERPEvent>.Iterator

        init(_ region: DERPRegion, key: NodePrivateKey) async throws {
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
                    policy: Loopback(),
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                    sink: { continuation.yield($0) }
                )
                client.start()
                return NIOLoopBound(client, eventLoop: loop)
            }.get()
        }

        func send(_ text: String, to peer: NodePublicKey) async throws {
            let client = client
            try await loop.submit {
                client.value.send(ByteBuffer(string: text), to: peer)
                client.value.flush()
            }.get()
        }

        mutating func next() async throws -> DERPEvent {
            try #require(await events.next(isolation: #isolation))
        }
    }

    @Test func `carries packets between members, and nobody else`() async throws {
        try await withServer(in: StateDirectory()) { server in
            var machines: [LiveMachine] = []
            for name in ["web", "db"] {
                let live = try LiveMachine(name, server: server)
                let key = try await server.createAuthKey(CreateAuthKeyRequest()).key
                _ = try await live.client.register(live.machine.registration(authKey: key))
                try await live.client.update(live.machine.update(homeDERP: 900))
                machines.append(live)
            }
            let (web, db) = (machines[0], machines[1])
            try await web.withPoll { watcher in
                let map = try await watcher.map { $0.derpMap?.regions[900] != nil }
                let region = try #require(map.derpMap?.regions[900])
                var first = try await RelayClient(region, key: web.machine.nodePrivateKey)
                var second = try await RelayClient(region, key: db.machine.nodePrivateKey)
                guard case .connected = try await first.next(), case .connected = try await second.next() else {
                    throw UnexpectedAnswer()
                }
                try await first.send("a packet of at least thirty-two octets", to: db.machine.nodeKey)
                guard case .received(let sender, let packet) = try await second.next() else { throw UnexpectedAnswer() }
                #expect(sender == web.machine.nodeKey)
                #expect(String(buffer: packet) == "a packet of at least thirty-two octets")

                var stranger = try await RelayClient(region, key: NodePrivateKey())
                guard case .closed = try await stranger.next() else { throw UnexpectedAnswer() }
            }
        }
    }
}

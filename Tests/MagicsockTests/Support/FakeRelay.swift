import Magicsock
import NIOCore
import NetTypes
import Tailcfg
import WarrenCrypto

/// A relay without sockets: all nodes that dial it are on one event loop and hear each other a turn later.
final class FakeRelay: RelayDialer {
    var connections: [NodePublicKey: FakeConnection] = [:]
    var dials = 0
    var packets = 0
    var refuses = false
    var distances: [DERPRegionID: Duration] = [:]
    var measured: [DERPRegionID] = []

    struct Refused: Error {}

    func connect(
        to region: DERPRegion,
        privateKey: NodePrivateKey,
        eventLoop: any EventLoop,
        events: @escaping (RelayEvent) -> Void
    ) -> EventLoopFuture<any RelayConnection> {
        dials += 1
        guard !refuses else { return eventLoop.makeFailedFuture(Refused()) }
        let connection = FakeConnection(relay: self, key: privateKey.publicKey, eventLoop: eventLoop, events: events)
        connections[connection.key] = connection
        let promise = eventLoop.makePromise(of: (any RelayConnection).self)
        promise.assumeIsolated().succeed(connection)
        return promise.futureResult
    }

    func measure(
        _ region: DERPRegion,
        deadline: Duration,
        eventLoop: any EventLoop
    ) -> EventLoopFuture<Duration> {
        measured.append(region.regionID)
        guard let distance = distances[region.regionID] else { return eventLoop.makeFailedFuture(Refused()) }
        return eventLoop.makeSucceededFuture(distance)
    }
}

/// One node's connection to a `FakeRelay`.
final class FakeConnection: RelayConnection {
    let key: NodePublicKey
    let relay: FakeRelay
    let eventLoop: any EventLoop
    let events: (RelayEvent) -> Void
    var isPreferred = false
    var answersPings = true
    var pings = 0

    init(relay: FakeRelay, key: NodePublicKey, eventLoop: any EventLoop, events: @escaping (RelayEvent) -> Void) {
        (self.relay, self.key, self.eventLoop, self.events) = (relay, key, eventLoop, events)
    }

    func send(_ packet: Span<UInt8>, to peer: NodePublicKey) {
        var copy = ByteBuffer()
        copy.writeBytes(packet.bytes)
        let own = key
        relay.packets += 1
        eventLoop.assumeIsolated().execute { [relay, copy] in
            relay.connections[peer]?.events(.received(from: own, packet: copy))
        }
    }

    func flush() {}
    func ping() {
        pings += 1
        if answersPings { eventLoop.assumeIsolated().execute { [events] in events(.alive) } }
    }
    func notePreferred(_ isHome: Bool) { isPreferred = isHome }
    func close() { if relay.connections[key] === self { relay.connections[key] = nil } }
}

struct OpenPolicy: DialPolicy {
    func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool { true }
}

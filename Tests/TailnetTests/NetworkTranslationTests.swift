import NetTypes
import NetWire
import Tailcfg
import Testing
import WarrenCrypto
import WarrenModel

@testable import GuestNetwork
@testable import Tailnet

@Suite("NetworkTranslation") struct NetworkTranslationTests {
    private let now = ControlTime(seconds: 1_787_000_000)
    private let keys = (0..<12).map { _ in NodePrivateKey().publicKey }

    private func node(_ number: Int, using generator: inout SplitMix64) -> Node {
        var node = Node(id: NodeID(rawValue: Int64(number)))
        node.stableID = "s\(number)"
        // Names pass from one to another.
        node.name = "n\(generator.next() % 8).example.net."
        node.key = keys[number]
        node.homeDERP = 1
        node.addresses = [IPPrefix(.v4(IPv4Address(100, 64, 0, UInt8(number))))]
        let subnets = ["10.0.0.0/8", "10.1.0.0/16", "192.168.7.0/24"].compactMap { IPPrefix($0) }
        node.allowedIPs = node.addresses + subnets.filter { _ in generator.next() % 3 == 0 }
        if generator.next() % 3 == 0 { node.allowedIPs?.append(contentsOf: [.everyIPv4, .everyIPv6]) }
        node.online = [true, false, nil][Int(generator.next() % 3)]
        node.isJailed = generator.next() % 5 == 0
        node.unsignedPeerAPIOnly = generator.next() % 12 == 0
        if generator.next() % 3 == 0 { node.capabilityMap = ["trusted": nil] }
        if generator.next() % 6 == 0 { node.keyExpiry = now.adding(seconds: Int64(generator.next() % 40)) }
        node.normalize()
        return node
    }

    /// What a data plane holds, by the steps it was given.
    private struct Held {
        var peers: [NodeID: PlaneNetwork.Peer] = [:]
        var zone = DNSZone()
        var filter: PacketFilterRules = .denyAll

        mutating func take(_ step: NetworkTranslation.Step) {
            switch step {
            case .whole(let network):
                peers = Dictionary(uniqueKeysWithValues: network.peers.map { ($0.id, $0) })
                zone = network.zone
                filter = network.filterRules
            case .change(let change):
                for id in change.removed { peers[id] = nil }
                for peer in change.peers { peers[peer.id] = peer }
                if let rules = change.filterRules { filter = rules }
                switch change.names {
                case .some(.some(let leaving, let joining)):
                    for node in leaving { zone.remove(node) }
                    for node in joining { zone.insert(node) }
                case .some(.all(let whole)): zone = whole
                case nil: break
                }
            }
        }
    }

    @Test(arguments: [nil, ExitNodeChoice.auto, .named("n3")])
    func `changes one by one come to the same as everything at once`(_ wish: ExitNodeChoice?) throws {
        var generator = SplitMix64(state: 11)
        var preferences = NodePreferences(hostname: "me")
        preferences.exitNode = wish
        var changes = 0
        for _ in 0..<20 {
            var own = Node(id: 1)
            own.name = "me.example.net."
            own.addresses = [IPPrefix(.v4(IPv4Address(100, 64, 0, 1)))]
            var reducer = NetworkMapReducer()
            var translation = NetworkTranslation()
            var held = Held()
            var first = MapResponse()
            first.node = own
            first.packetFilter = [
                FilterRule(sourceIPs: ["cap:trusted"], destinations: [FilterDestination(ip: "*")])
            ]
            first.dnsConfig = DNSConfig()
            first.dnsConfig?.proxied = true
            _ = try reducer.apply(first, now: now)
            var map = try #require(reducer.map)
            held.take(translation.translate(map, preferences: preferences, now: now))
            for step in 0..<40 {
                let moment = now.adding(seconds: Int64(step))
                var response = MapResponse()
                let number = Int(generator.next() % 10) + 2
                switch generator.next() % 4 {
                case 0: response.peersRemoved = [NodeID(rawValue: Int64(number))]
                case 1:
                    var patch = PeerChange(nodeID: NodeID(rawValue: Int64(number)))
                    patch.online = generator.next() % 2 == 0
                    response.peersChangedPatch = [patch]
                default: response.peersChanged = [node(number, using: &generator)]
                }
                let change = try #require(try reducer.apply(response, now: moment))
                map = try #require(reducer.map)
                let taken = translation.translate(map, change: change, preferences: preferences, now: moment)
                if case .change = taken { changes += 1 }
                held.take(taken)
                try compare(held, with: map, preferences, translation, at: moment)
            }
        }
        #expect(changes > 200)
    }

    private func compare(
        _ held: Held,
        with map: NetworkMap,
        _ preferences: NodePreferences,
        _ translation: NetworkTranslation,
        at moment: ControlTime
    ) throws {
        // The same choice of exit node, which rests on what was chosen before.
        var fresh = translation
        let exitNode: RoutePreferences.ExitNode = fresh.exitNodeInUse(preferences.exitNode, map, moment)
        let whole = PlaneNetwork(map: map, preferences: preferences, exitNode: exitNode, now: moment)
        #expect(Set(held.peers.keys) == Set(whole.peers.map(\.id)))
        for peer in whole.peers {
            #expect(held.peers[peer.id]?.allowedIPs == peer.allowedIPs)
            #expect(held.peers[peer.id]?.routes == peer.routes)
            #expect(held.peers[peer.id]?.isJailed == peer.isJailed)
        }
        for peer in map.peers.values {
            let address = try #require(peer.addresses.first?.address)
            // Of two nodes with one name either may be served.
            let names = map.peers.values.filter { $0.name == peer.name }
            if names.count == 1 {
                #expect(held.zone.addresses(of: try #require(DNSName(peer.name))) == [address])
                #expect(held.zone.name(of: address) == DNSName(peer.name))
            }
            let packet = try ParsedPacket(parsing: TestPackets.tcp("\(address)", "100.64.0.1", port: 22))
            #expect(held.filter.permits(packet) == whole.filterRules.permits(packet))
        }
    }

    @Test func `the end of a key changes the routes without any message`() throws {
        var generator = SplitMix64(state: 3)
        var peer = node(2, using: &generator)
        peer.isJailed = false
        peer.keyExpiry = now.adding(seconds: 10)
        var map = NetworkMap(selfNode: Node(id: 1))
        map.peers[2] = peer
        var translation = NetworkTranslation()
        let preferences = NodePreferences(hostname: "me")
        var held = Held()
        held.take(translation.translate(map, preferences: preferences, now: now))
        #expect(held.peers.count == 1)
        #expect(translation.nextExpiry(in: map) == peer.keyExpiry)
        var ahead = map
        ahead.controlClockOffsetSeconds = 100
        #expect(translation.nextExpiry(in: ahead) == peer.keyExpiry.adding(seconds: -100))
        let later = now.adding(seconds: 10)
        held.take(translation.translate(map, change: NetworkMapChange(), preferences: preferences, now: later))
        #expect(held.peers.isEmpty)
        #expect(translation.nextExpiry(in: map) == nil)
    }
}

extension NetworkTranslation {
    /// The exit node that is in use without any further message.
    fileprivate mutating func exitNodeInUse(
        _ wish: ExitNodeChoice?,
        _ map: NetworkMap,
        _ now: ControlTime
    ) -> RoutePreferences.ExitNode {
        var exitNode = exitNode
        return exitNode.resolve(wish, in: map, changed: [], now: now)
    }
}

import FoundationEssentials
import NetTypes
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto

/// A generator that gives the same numbers in every run.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

@Suite("Documents from a server that means harm")
struct HostileDocumentTests {
    private static let now = ControlTime(seconds: 1_787_000_000)

    /// Damages a document in one to four places.
    private func mutated(_ value: JSONValue, _ generator: inout SeededGenerator) -> JSONValue {
        var value = value
        for _ in 0..<Int.random(in: 1...4, using: &generator) { value = damaged(value, &generator) }
        return value
    }

    private func damaged(_ value: JSONValue, _ generator: inout SeededGenerator) -> JSONValue {
        let replacements: [JSONValue] = [
            .null, .bool(true), .integer(.max), .integer(.min), .integer(-1), .unsigned(.max), .double(1e300),
            .string(""), .string("0001-01-01T00:00:00Z"), .string("999.999.999.999/99"), .string("::/129"), .array([]),
            .object([:]), .array([.null]), .object(["*": .null]), .string("nodekey:"), .string("127.3.3.40:99999"),
        ]
        switch value {
        case .object(let members) where !members.isEmpty && Int.random(in: 0..<6, using: &generator) != 0:
            var members = members
            let names = members.keys.sorted()
            let name = names[Int.random(in: names.indices, using: &generator)]
            members[name] = members[name].map { damaged($0, &generator) }
            return .object(members)
        case .array(let elements) where !elements.isEmpty && Int.random(in: 0..<6, using: &generator) != 0:
            var elements = elements
            let index = Int.random(in: elements.indices, using: &generator)
            elements[index] = damaged(elements[index], &generator)
            return .array(elements)
        default:
            return replacements[Int.random(in: replacements.indices, using: &generator)]
        }
    }

    @Test func `damage is an error or harmless, never a trap`() throws {
        let documents = try VectorFile("map_responses", in: .module).cases.compactMap(\.value.document)
        var generator = SeededGenerator(state: 7)
        var readable = 0
        for document in documents {
            for _ in 0..<30 {
                guard let response = try? mutated(document, &generator).decoded(as: MapResponse.self) else { continue }
                readable += 1
                var reducer = NetworkMapReducer()
                guard (try? reducer.apply(response, now: Self.now)) != nil, let map = reducer.map else { continue }
                let preferences = RoutePreferences(acceptRoutes: true, exitNode: .selected(map.peers.keys.min()))
                let table = RouteTable(peers: map.peers.values, preferences: preferences, now: Self.now)
                _ = table.peer(for: .v4(.loopback))
                _ = (map.packetFilter, map.messages, map.magicDNSSuffix, map.isSelfExpired(at: Self.now))
                for region in (map.derpMap?.regions ?? [:]).values {
                    for node in region.nodes {
                        _ = (node.effectiveDERPPort, node.effectiveSTUNPort, node.ipv4Reach, node.ipv6Reach)
                    }
                }
                _ = try encoded(response)
            }
        }
        #expect(readable > 100)
    }

    @Test func `ten thousand peers stay small`() throws {
        // What a peer costs beside its own strings and lists; the map of every VM holds all of them.
        #expect(MemoryLayout<Node>.stride <= 512)
    }

    @Test func `a stream that never stops adding fills no memory`() throws {
        var reducer = NetworkMapReducer()
        var first = MapResponse()
        first.node = Node(id: 1)
        _ = try reducer.apply(first, now: Self.now)
        var number: Int64 = 1
        while number < Int64(NetworkMapReducer.peerLimit + 3_000) {
            var response = MapResponse()
            response.peersChanged = (0..<2_000).map { Node(id: NodeID(rawValue: number + 1 + $0)) }
            number += 2_000
            _ = try reducer.apply(response, now: Self.now)
        }
        #expect(reducer.map?.peers.count == NetworkMapReducer.peerLimit)
        // A peer that is there is still changed, and room that is made is used.
        var change = MapResponse()
        var known = Node(id: 2)
        known.name = "known.example."
        change.peersChanged = [known, Node(id: NodeID(rawValue: number + 1))]
        change.peersRemoved = [3]
        _ = try reducer.apply(change, now: Self.now)
        #expect(reducer.map?.peers[2]?.name == "known.example.")
        #expect(reducer.map?.peers[NodeID(rawValue: number + 1)] != nil)
        #expect(reducer.map?.peers.count == NetworkMapReducer.peerLimit)

        for batch in 0..<3 {
            var messages = MapResponse()
            for index in 0..<5_000 {
                let name = "\(batch)-\(index)"
                messages.displayMessages[name] = DisplayMessage(title: name, text: "", severity: "low")
                messages.packetFilters[name] = []
            }
            _ = try reducer.apply(messages, now: Self.now)
        }
        #expect(reducer.map?.displayMessages.count == NetworkMapReducer.entryLimit)
        #expect(reducer.map?.packetFilters.count == NetworkMapReducer.entryLimit)
    }

    @Test func `the first message must bring the own node`() throws {
        var reducer = NetworkMapReducer()
        var response = MapResponse()
        response.peers = [Node(id: 2)]
        #expect(throws: NetworkMapError.firstMessageWithoutNode) { try reducer.apply(response, now: Self.now) }
        response.keepAlive = true
        #expect(try reducer.apply(response, now: Self.now) == nil)
        response.keepAlive = false
        response.node = Node(id: 1)
        let change = try #require(try reducer.apply(response, now: Self.now))
        #expect(change.selfNode && change.allPeers && reducer.map?.peers.keys == [2])
    }

    @Test func `a change tells who is gone and who was touched`() throws {
        var reducer = NetworkMapReducer()
        var first = MapResponse()
        first.node = Node(id: 1)
        first.peers = [Node(id: 2), Node(id: 3), Node(id: 4)]
        _ = try reducer.apply(first, now: Self.now)
        var second = MapResponse()
        second.peersRemoved = [2, 9]
        second.peersChanged = [Node(id: 5)]
        second.onlineChange = [3: true, 8: true]
        let change = try #require(try reducer.apply(second, now: Self.now))
        #expect(change.peers.keys.sorted() == [2, 3, 5] && !change.selfNode && !change.allPeers)
        #expect(change.peers[2]?.before?.id == 2 && change.peers[2]?.after == nil)
        #expect(change.peers[3]?.before?.online == nil && change.peers[3]?.after?.online == true)
        #expect(change.peers[5]?.before == nil && change.peers[5]?.after?.id == 5)
        var third = MapResponse()
        third.peers = [Node(id: 4)]
        let replaced = try #require(try reducer.apply(third, now: Self.now))
        #expect(replaced.allPeers && reducer.map?.peers.keys == [4])
    }

    @Test func `what is sent again as it was is no change, and a new stream replaces all`() throws {
        var reducer = NetworkMapReducer()
        var message = MapResponse()
        message.node = Node(id: 1)
        message.dnsConfig = DNSConfig()
        message.peersChanged = [Node(id: 2)]
        _ = try reducer.apply(message, now: Self.now)
        var again = message
        again.peersChanged = []
        #expect(try reducer.apply(again, now: Self.now) == NetworkMapChange())
        reducer.startStream()
        // Until the new stream speaks, what was known holds.
        #expect(reducer.map?.peers.count == 1)
        #expect(throws: NetworkMapError.firstMessageWithoutNode) { try reducer.apply(MapResponse(), now: Self.now) }
        #expect(reducer.map?.peers.count == 1)
        let change = try #require(try reducer.apply(again, now: Self.now))
        #expect(change.allPeers && change.selfNode && reducer.map?.peers.isEmpty == true)
    }

    @Test func `control's clock counts when it is more than a minute away`() throws {
        var reducer = NetworkMapReducer()
        var response = MapResponse()
        response.node = Node(id: 1)
        response.node?.keyExpiry = Self.now.adding(seconds: 3600)
        response.controlTime = Self.now.adding(seconds: 59)
        _ = try reducer.apply(response, now: Self.now)
        #expect(reducer.map?.controlClockOffsetSeconds == 0)
        response.controlTime = Self.now.adding(seconds: 3000)
        _ = try reducer.apply(response, now: Self.now)
        #expect(reducer.map?.isSelfExpired(at: Self.now.adding(seconds: 599)) == false)
        #expect(reducer.map?.isSelfExpired(at: Self.now.adding(seconds: 600)) == true)
        var keepAlive = MapResponse()
        keepAlive.keepAlive = true
        keepAlive.controlTime = Self.now
        _ = try reducer.apply(keepAlive, now: Self.now)
        #expect(reducer.map?.controlClockOffsetSeconds == 0)
    }
}

import FoundationEssentials
import NetTypes
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto

private let documents = Result { try VectorFile("map_responses", in: .module).cases }

@Suite("PeerTable, packed")
struct PeerTableTests {
    @Test(arguments: try documents.get())
    func `gives every recorded node back as it was`(_ vector: VectorCase) throws {
        let response = try #require(vector.value.document).decoded(as: MapResponse.self)
        var table = PeerTable()
        for node in response.peers + response.peersChanged {
            table[node.id] = node
            #expect(table[node.id] == node)
        }
    }

    @Test func `holds extremes, and what only few nodes have`() throws {
        var node = Node(id: NodeID(rawValue: .max))
        node.stableID = String(repeating: "n", count: 300)
        node.name = "ünïcode..x."
        node.user = UserID(rawValue: .min)
        node.sharer = -1
        node.homeDERP = -5
        node.keyExpiry = ControlTime(seconds: .max, nanoseconds: 999_999_999)
        node.created = ControlTime(seconds: -1, nanoseconds: 1)
        node.lastSeen = .zero
        node.online = false
        node.addresses = [try #require(IPPrefix("100.64.0.1/10")), try #require(IPPrefix("fd7a::1/0"))]
        node.allowedIPs = []
        node.endpoints = [try #require(AddressPort("[::1]:65535")), try #require(AddressPort("0.0.0.0:0"))]
        node.tags = ["tag:a", "", "tag:a"]
        node.capabilityMap = ["x": nil, "y": [], "z": [.object(["a": .array([.null])])]]
        var hostinfo = Hostinfo()
        hostinfo.hostname = "h"
        hostinfo.os = "plan9"
        hostinfo.services = [HostService(proto: "peerapi4", port: 1, description: "d")]
        node.hostinfo = hostinfo
        var table = PeerTable()
        table[node.id] = node
        #expect(table[node.id] == node)
        node.hostinfo?.app = "rare"
        node.keySignature = "sig"
        table[node.id] = node
        #expect(table[node.id] == node)
        #expect(table.count == 1)
    }

    @Test func `finds everybody after others left, and shares nothing with its copies`() {
        var table = PeerTable()
        for number in 1...100 {
            var node = Node(id: NodeID(rawValue: Int64(number)))
            node.name = "n\(number).example.net."
            table[node.id] = node
        }
        let copy = table
        for number in stride(from: 1, through: 100, by: 3) {
            #expect(table.removeValue(forKey: NodeID(rawValue: Int64(number)))?.name == "n\(number).example.net.")
        }
        #expect(table.removeValue(forKey: 1) == nil)
        #expect(table.count == 66 && copy.count == 100)
        for node in table.values {
            #expect(node.id.rawValue % 3 != 1 && table[node.id]?.name == "n\(node.id).example.net.")
        }
        #expect(Set(table.keys) == Set(table.values.map(\.id)))
    }

    @Test func `a server that makes up new names all day is still understood`() {
        var table = PeerTable()
        for number in 1...20_000 {
            var node = Node(id: 7)
            node.name = "n.tailnet\(number).example."
            node.tags = ["tag:\(number)"]
            table[7] = node
            #expect(table[7]?.name == node.name && table[7]?.tags == node.tags)
        }
    }

    @Test func `a client reads of hosts what it has a use for, and nothing else stays`() throws {
        let text = """
            {"Peers":[{"ID":1,"Hostinfo":{"Hostname":"h","OS":"linux","App":"x","Services":[{"Proto":"peerapi4","Port":9}],
            "NetInfo":{"PreferredDERP":1},"Machine":{"x":1}}}]}
            """
        let response = try JSONDecoder.forMapStream.decode(MapResponse.self, from: Data(text.utf8))
        var expected = Hostinfo()
        expected.hostname = "h"
        expected.os = "linux"
        expected.services = [HostService(proto: "peerapi4", port: 9)]
        #expect(response.peers.first?.hostinfo == expected)
    }
}

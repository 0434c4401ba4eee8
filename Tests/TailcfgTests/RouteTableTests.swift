import NetTypes
import Tailcfg
import Testing
import WarrenCrypto

@Suite("RouteTable, kept up peer by peer")
struct RouteTableTests {
    private let now = ControlTime(seconds: 1_787_000_000)
    private let subnet = "192.168.7.0/24"
    private let behind = "192.168.7.9"

    private func router(_ id: NodeID, _ routes: [String], online: Bool? = true) throws -> Node {
        var node = Node(id: id)
        let own = IPPrefix(.v4(IPv4Address(100, 64, 0, UInt8(id.rawValue))))
        node.addresses = [own]
        node.allowedIPs = [own] + (try routes.map { try #require(IPPrefix($0)) })
        node.homeDERP = 1
        node.online = online
        node.normalize()
        return node
    }

    private func peer(_ table: RouteTable, _ address: String) throws -> NodeID? {
        table.peer(for: try #require(IPAddress(address)))
    }

    @Test func `of several routers of a subnet the first that is not offline is used`() throws {
        var table = RouteTable(preferences: RoutePreferences(acceptRoutes: true))
        table.update(try router(3, [subnet]), now: now)
        #expect(table.update(try router(2, [subnet], online: nil), now: now) == [3])
        #expect(try peer(table, behind) == 2)
        // Both may send from it.
        #expect(table.prefixes(of: 3)?.count == 2)
        #expect(table.ownedPrefixes(of: 3).map(\.description) == ["100.64.0.3/32"])

        #expect(table.update(try router(2, [subnet], online: false), now: now) == [3])
        #expect(try peer(table, behind) == 3)
        #expect(table.update(try router(3, [subnet], online: false), now: now) == [2])
        #expect(try peer(table, behind) == 2)
        #expect(table.update(try router(2, [], online: true), now: now) == [3])
        #expect(try peer(table, behind) == 3)
        #expect(table.remove(3).isEmpty)
        #expect(try peer(table, behind) == nil)
    }

    @Test func `a peer that only changes otherwise touches nobody`() throws {
        var table = RouteTable(preferences: RoutePreferences(acceptRoutes: true))
        table.update(try router(2, [subnet]), now: now)
        table.update(try router(3, [subnet]), now: now)
        #expect(table.update(try router(3, [subnet]), now: now).isEmpty)
        #expect(table.update(try router(3, [subnet], online: false), now: now).isEmpty)
        #expect(try peer(table, behind) == 2)
    }

    @Test func `an exit node that leaves or stops serving leaves a black hole, and may come back`() throws {
        var table = RouteTable(preferences: RoutePreferences(exitNode: .selected(4)))
        #expect(table.blackholesInternet)
        let everything = ["0.0.0.0/0", "::/0"]
        table.update(try router(4, everything), now: now)
        #expect(!table.blackholesInternet)
        #expect(try peer(table, "8.8.8.8") == 4)
        table.update(try router(4, ["0.0.0.0/0"]), now: now)
        #expect(table.blackholesInternet)
        #expect(try peer(table, "8.8.8.8") == nil)
        var expired = try router(4, everything)
        expired.expired = true
        table.update(expired, now: now)
        #expect(table.blackholesInternet)
        table.update(try router(4, everything, online: false), now: now)
        #expect(!table.blackholesInternet)
        table.remove(4)
        #expect(table.blackholesInternet)
        #expect(try peer(table, "8.8.8.8") == nil)
    }

    @Test func `any order of changes comes to the same routes as starting from their end`() throws {
        var generator = SplitMix(state: 7)
        let routes = [subnet, "192.168.0.0/16", "10.0.0.0/8", "100.64.0.9/32"]
        let preferences = RoutePreferences(acceptRoutes: true)
        for _ in 0..<50 {
            var table = RouteTable(preferences: preferences)
            var peers: [NodeID: Node] = [:]
            for _ in 0..<30 {
                let id = NodeID(rawValue: Int64(generator.next() % 5 + 2))
                if generator.next() % 4 == 0 {
                    table.remove(id)
                    peers[id] = nil
                } else {
                    let chosen = routes.filter { _ in generator.next() % 2 == 0 }
                    let online = [true, false, nil][Int(generator.next() % 3)]
                    let node = try router(id, chosen, online: online)
                    table.update(node, now: now)
                    peers[id] = node
                }
            }
            let sorted = peers.values.sorted { $0.id < $1.id }
            #expect(table == RouteTable(peers: sorted, preferences: preferences, now: now))
        }
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
            return mixed ^ mixed >> 31
        }
    }
}

import Coordination
import Foundation
import NetTypes
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto

@Suite("What is told, and in which shape")
struct MapShapeTests {
    @Test func `marks absorb each other`() {
        var delta = PendingDelta()
        #expect(delta.isFull && !delta.isEmpty)
        delta.mark(2, .endpoints)
        delta.clear()
        #expect(delta.isEmpty)
        delta.mark(2, .endpoints)
        delta.mark(2, .online)
        delta.mark(3, .homeDERP)
        delta.mark(3, [.whole, .discoKey])
        delta.mark(3, .online)
        delta.mark(4, .whole)
        delta.markRemoved(4)
        #expect(delta.patches.map(\.id) == [2] && delta.patches.first?.change == [.endpoints, .online])
        #expect(delta.wholePeers == [3] && delta.removedPeers == [4])
        delta.mark(4, .online)
        #expect(delta.wholePeers == [3, 4] && delta.removedPeers.isEmpty)
        delta.markOwnNode()
        delta.markDERPMap()
        #expect(delta.ownNode && delta.derpMap)
    }

    @Test func `whatever happens, a sleeping client is owed one mark a node`() {
        var delta = PendingDelta()
        delta.clear()
        for round in 0..<1000 {
            for id in 2..<12 { delta.mark(NodeID(rawValue: Int64(id)), round.isMultiple(of: 2) ? .endpoints : .online) }
        }
        #expect(delta.patches.count == 10)
    }

    @Test func `node objects have what stock clients trip over when it is missing`() async throws {
        let tailnet = try await TestTailnet()
        var router = TestMachine("router")
        router.hostname = "router\u{0}<script>"
        _ = try await tailnet.join(router)
        let stream = try await tailnet.join(TestMachine("web"))
        let map = try #require(try await tailnet.messages(stream).first)
        let document = try JSONValue(parsing: JSONEncoder().encode(map))
        let peer = try #require(document.Peers?[0])
        for name in [
            "ID", "StableID", "Name", "User", "Key", "Machine", "DiscoKey", "Addresses", "AllowedIPs", "Hostinfo",
            "Cap",
            "Created", "Online", "MachineAuthorized",
        ] { #expect(peer[name] != nil, "\(name)") }
        #expect(peer.Hostinfo?.object != nil && peer.DERP == nil && peer.LastSeen == nil && peer.KeyExpiry == nil)
        #expect(peer.AllowedIPs == .array([.string("100.64.0.1/32"), .string("fd7a:115c:a1e0::1/128")]))
        #expect(peer.Name?.string == "routerscript.warren.internal.")
        // A NUL makes the whole message unreadable for every Go client.
        #expect(!String(decoding: try document.data, as: UTF8.self).contains("\\u0000"))
        let own = try #require(document.Node)
        #expect(own.CapMap?["default-auto-update"] == .array([.bool(false)]) && own.Online == .bool(true))
        #expect(document.PacketFilters?.base?[0]?.DstPorts?[0]?.Ports?.Last?.int == 65_535)
        #expect(
            document.DERPMap?.omitDefaultRegions?.bool == true && document.SSHPolicy == nil && document.TKAInfo == nil
        )
    }

    @Test func `patches never say less than is needed to reach a node that came back`() async throws {
        let tailnet = try await TestTailnet()
        let watcher = try await tailnet.join(TestMachine("watcher"))
        var web = TestMachine("web")
        _ = try await tailnet.join(web)
        _ = try await tailnet.messages(watcher)
        // The process starts again: a new disco key comes before new endpoints.
        web.discoKey = DiscoPrivateKey().publicKey
        try await tailnet.registry.update(web.update(), from: web.machineKey)
        let patch = try #require(try await tailnet.messages(watcher).first?.peersChangedPatch.first)
        #expect(patch.discoKey == web.discoKey && patch.online == true && patch.lastSeen == nil)
        #expect(patch.nodeID == 2 && patch.keyExpiry == nil)
    }
}

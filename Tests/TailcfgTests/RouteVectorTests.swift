import NetTypes
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto

private let routes = Result { try VectorFile("routes", in: .module).cases }

@Suite("RouteTable against golden tables")
struct RouteVectorTests {
    @Test(arguments: try routes.get())
    func `routes as the reference client does`(_ vector: VectorCase) throws {
        let value = vector.value
        let peers = try #require(value.peers?.array).map(node)
        let exitNode = value.exit_node?.int ?? 0
        let preferences = RoutePreferences(
            acceptRoutes: value.accept_routes?.bool ?? false,
            exitNode: value.exit_node_selected?.bool == true
                ? .selected(exitNode == 0 ? nil : NodeID(rawValue: Int64(exitNode))) : .none
        )
        let table = RouteTable(peers: peers, preferences: preferences, now: ControlTime(seconds: 1_787_000_000))
        #expect(table.blackholesInternet == value.blackhole_internet?.bool)
        let expected = try #require(value.effective_allowed_ips?.object)
        #expect(Set(table.effectiveAllowedIPs.keys.map(\.description)) == Set(expected.keys))
        for (id, prefixes) in table.effectiveAllowedIPs {
            let texts = expected[id.description]?.array?.compactMap(\.string) ?? []
            #expect(Set(prefixes.map(\.description)) == Set(texts))
        }
        for (destination, owner) in try #require(value.lookups?.object) {
            let address = try #require(IPAddress(destination))
            #expect(Int(table.peer(for: address)?.rawValue ?? 0) == owner.int, "\(destination)")
        }
    }

    private func node(_ value: JSONValue) throws -> Node {
        var node = Node(id: NodeID(rawValue: Int64(try #require(value.id?.int))))
        node.addresses = value.addresses?.array?.compactMap { $0.string.flatMap { IPPrefix($0) } } ?? []
        node.allowedIPs = value.allowed_ips?.array?.compactMap { $0.string.flatMap { IPPrefix($0) } }
        node.expired = value.expired?.bool ?? false
        node.isWireGuardOnly = value.is_wireguard_only?.bool ?? false
        node.unsignedPeerAPIOnly = value.unsigned_peer_api_only?.bool ?? false
        if value.disco_key_zero?.bool != true {
            node.discoKey = try #require(DiscoPublicKey(bytes: [UInt8](repeating: 7, count: 32)))
        }
        node.homeDERP = DERPRegionID(rawValue: Int64(value.home_derp?.int ?? 1))
        node.normalize()
        return node
    }
}

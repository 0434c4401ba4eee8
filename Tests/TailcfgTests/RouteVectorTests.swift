import NetTypes
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto

private let routes = Result { try VectorFile("routes", in: .module).cases }
private let addresses = Result { try VectorFile("tsaddr", in: .module).cases }

@Suite("RouteTable and TailscaleAddress against golden tables")
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

    @Test(arguments: try addresses.get())
    func `knows the address plan`(_ vector: VectorCase) throws {
        let value = vector.value
        switch value.op?.string {
        case "is_tailscale_ip":
            let address = try #require(value.ip?.string.flatMap { IPAddress($0) })
            #expect(TailscaleAddress.contains(address) == value.result?.bool)
        case "4to6":
            let ipv4 = try #require(value.ipv4?.string.flatMap { IPv4Address($0) })
            let ipv6 = TailscaleAddress.companion(of: ipv4)
            #expect(ipv6.description == value.ipv6?.string)
            #expect(TailscaleAddress.companion(of: ipv6) == ipv4)
        case "map_via":
            let site = UInt32(try #require(value.site?.int))
            let prefix = try #require(value.ipv4_prefix?.string.flatMap { IPPrefix($0) })
            let mapped = try #require(TailscaleAddress.via6(site: site, prefix: prefix))
            #expect(mapped.description == value.ipv6_prefix?.string)
            guard case .v6(let first) = mapped.masked.address else { throw VectorMismatch() }
            let unmapped = try #require(TailscaleAddress.unmapVia6(first))
            #expect(unmapped.site == site)
            #expect(unmapped.address.description == value.unmap_first_address?.string)
        default:
            Issue.record("no check for the operation \(value.op?.string ?? "")")
        }
    }
}

/// A vector of a shape that the suite does not understand.
struct VectorMismatch: Error {}

import FoundationEssentials
import NetTypes
import Tailcfg
import TestSupport
import Testing

private let responses = Result { try VectorFile("map_responses", in: .module).cases }

@Suite("MapResponse against golden documents")
struct MapResponseVectorTests {
    @Test(arguments: try responses.get())
    func `re-encodes a document as the reference client does`(_ vector: VectorCase) throws {
        let document = try #require(vector.value.document)
        let response = try document.decoded(as: MapResponse.self)
        #expect(response.undecodablePeerCount == 0)
        if let canonical = vector.value.canonical {
            #expect(try encoded(response).pruned() == canonical.pruned())
        }
        let again = try encoded(response).decoded(as: MapResponse.self)
        #expect(try encoded(again) == encoded(response))
    }

    @Test(arguments: try responses.get())
    func `extracts the facts of a document`(_ vector: VectorCase) throws {
        let response = try #require(vector.value.document).decoded(as: MapResponse.self)
        for (name, expected) in vector.value.expect?.object ?? [:] {
            switch name {
            case "keep_alive": #expect(response.keepAlive == expected.bool)
            case "derp_regions":
                let regions = (response.derpMap?.regions ?? [:]).compactMap {
                    $0.value == nil ? nil : Int($0.key.rawValue)
                }
                #expect(Set(regions) == Set(expected.array?.compactMap(\.int) ?? []))
            case "peer_ids": #expect(response.peers.map { Int($0.id.rawValue) } == expected.array?.compactMap(\.int))
            case "exit_node_ids":
                let ids = response.peers.filter(\.isExitNodeCandidate).map { Int($0.id.rawValue) }
                #expect(ids == expected.array?.compactMap(\.int))
            case "filter_names": #expect(response.packetFilters.keys.sorted() == expected.array?.compactMap(\.string))
            case "magic_dns": #expect(response.dnsConfig?.proxied == expected.bool)
            case "search_domains": #expect(response.dnsConfig?.domains == expected.array?.compactMap(\.string))
            case "subnets": try checkSubnets(response, expected)
            case "ping": checkPing(response.pingRequest, try #require(expected.string))
            case "ip": #expect(response.pingRequest?.ip?.description == expected.string)
            case "types":
                #expect(response.pingRequest?.typeList.map(String.init) == expected.array?.compactMap(\.string))
            case "pop_browser": #expect(response.popBrowserURL == expected.string)
            case "dial_candidates": #expect(response.controlDialPlan?.candidates.count == expected.int)
            case "sleep_seconds": #expect(response.debug?.sleepSeconds == expected.double)
            case "key_expiry_is_zero": #expect(response.node?.keyExpiry.isZero == expected.bool)
            default: Issue.record("no check for the expectation \(name)")
            }
        }
    }

    private func checkSubnets(_ response: MapResponse, _ expected: JSONValue) throws {
        for (id, subnets) in expected.object ?? [:] {
            let peer = try #require(response.peers.first { $0.id.description == id })
            let routed = peer.effectiveAllowedIPs.filter { !peer.addresses.contains($0) && $0.length != 0 }
            #expect(routed.map(\.description) == subnets.array?.compactMap(\.string))
        }
    }

    private func checkPing(_ ping: PingRequest?, _ expected: String) {
        switch expected {
        case "HEAD over Noise": #expect(ping?.urlIsNoise == true && ping?.types == "")
        case "peer": #expect(ping?.ip != nil && ping?.types != "")
        default: Issue.record("no check for the ping \(expected)")
        }
    }

    @Test func `keeps the other peers when one is broken`() throws {
        let text =
            #"{"Peers":[{"ID":1,"Addresses":["100.64.0.1/32"]},{"ID":2,"Addresses":["nonsense"]},{"ID":3,"Key":"nodekey:12"}]}"#
        let response = try JSONValue(parsing: .init(text.utf8)).decoded(as: MapResponse.self)
        #expect(response.peers.map(\.id) == [1])
        #expect(response.undecodablePeerCount == 2)
    }
}

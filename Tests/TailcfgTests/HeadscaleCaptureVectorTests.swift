import NetTypes
import Tailcfg
import TestSupport
import Testing

private let capture = Result { try VectorFile("headscale_capture", in: .module).cases }

/// What a real Headscale was asked and said, read as our node and as our server would.
@Suite("A dialogue with stock Headscale")
struct HeadscaleCaptureVectorTests {
    @Test(arguments: try capture.get())
    func `every body is understood and says the same when it is written again`(_ vector: VectorCase) throws {
        let value = vector.value
        if let request = value.request {
            switch value.path?.string {
            case "/machine/map": try expectStable(MapRequest.self, request)
            // The follow-up is recorded without its path.
            case "/machine/register", nil: try expectStable(RegisterRequest.self, request)
            default: break
            }
        }
        if let response = value.response {
            let answer = try response.decoded(as: RegisterResponse.self)
            #expect(answer.error == response.Error?.string ?? "")
            #expect(answer.authURL == response.AuthURL?.string ?? "")
            #expect(answer.nodeKeyExpired == response.NodeKeyExpired?.bool)
            #expect(answer.machineAuthorized == response.MachineAuthorized?.bool)
            try expectStable(RegisterResponse.self, response)
        }
        for document in value.documents?.array ?? [] {
            #expect(try document.decoded(as: MapResponse.self).undecodablePeerCount == 0)
            try expectStable(MapResponse.self, document)
        }
    }

    @Test func `the maps of each node add up`() throws {
        var reducers: [String: NetworkMapReducer] = [:]
        var messages = 0
        for vector in try capture.get() {
            // "node A: …", "node B (zstd): …"; the others are polls of their own.
            let words = (vector.value.description?.string ?? "").split(separator: " ")
            let node = words.count > 1 && words[0] == "node" ? String(words[1].prefix(1)) : vector.description
            for document in vector.value.documents?.array ?? [] {
                let response = try document.decoded(as: MapResponse.self)
                if response.keepAlive, reducers[node] == nil { continue }
                // The node alone is sent again now and then; only a new poll begins with everything.
                if response.node != nil, response.derpMap != nil { reducers[node] = NetworkMapReducer() }
                var reducer = try #require(reducers[node], "\(vector)")
                _ = try reducer.apply(response, now: ControlTime(seconds: 1_795_392_600))
                reducers[node] = reducer
                messages += 1
            }
        }
        #expect(messages > 0)
        #expect(reducers["A"]?.map?.sortedPeers.map(\.id) == [3])
        #expect(reducers["B"]?.map?.sortedPeers.map(\.id) == [1])
        let map = try #require(reducers["C"]?.map)
        #expect(map.selfNode.name.hasPrefix("hs-c."))
        #expect(map.derpMap?.regions.isEmpty == false)
        #expect(map.dnsConfig.proxied)
        for map in reducers.values.compactMap(\.map) { #expect(!map.selfNode.addresses.isEmpty) }
    }

    private func expectStable<Value: Codable>(_ type: Value.Type, _ body: JSONValue) throws {
        let once = try encoded(try body.decoded(as: type))
        #expect(try encoded(once.decoded(as: type)) == once)
    }
}

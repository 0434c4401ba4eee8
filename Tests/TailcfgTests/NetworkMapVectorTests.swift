import Tailcfg
import TestSupport
import Testing

private let sessions = Result { try VectorFile("map_session", in: .module).cases }
private let now = ControlTime(seconds: 1_787_000_000)

@Suite("NetworkMapReducer against golden sessions")
struct NetworkMapVectorTests {
    @Test(arguments: try sessions.get())
    func `reaches the reference client's state after each message`(_ vector: VectorCase) throws {
        var reducer = NetworkMapReducer()
        let steps = try #require(vector.value.steps?.array)
        #expect(!steps.isEmpty)
        for step in steps {
            let name = Comment(rawValue: step.description?.string ?? "")
            let response = try #require(step.document).decoded(as: MapResponse.self)
            let change = try reducer.apply(response, now: now)
            guard let state = step.state, !state.isNull else {
                #expect(change == nil, name)
                continue
            }
            #expect(change != nil, name)
            let map = try #require(reducer.map)
            #expect(map.collectServices == state.collect_services?.bool, name)
            #expect(map.domain == state.domain?.string, name)
            #expect(map.tailnetLock == state.tailnet_lock?.bool, name)
            #expect(try encoded(map.dnsConfig).pruned() == state.dns?.pruned(), name)
            #expect(try encoded(map.selfNode).comparable == state["self"]?.comparable, name)
            let peers = try map.sortedPeers.map { try encoded($0).comparable }
            #expect(peers == state.peers?.array?.map(\.comparable), name)
            #expect(try derpMap(map) == state.derp_map?.pruned(), name)
            let rules = try encoded(map.packetFilter).pruned()
            #expect(
                rules == (state.packet_filter_rules?.isNull == true ? .array([]) : state.packet_filter_rules?.pruned()),
                name
            )
            let messages = try map.messages.values.map { try encoded($0) }
            let expected = state.messages?.object.map { Array($0.values) } ?? []
            #expect(messages.count == expected.count && expected.allSatisfy(messages.contains), name)
            #expect(try profilesInUse(map) == state.user_profiles_in_use, name)
        }
    }

    private func derpMap(_ map: NetworkMap) throws -> JSONValue {
        guard let derpMap = map.derpMap else { return .null }
        return try encoded(DERPMapUpdate(derpMap)).pruned()
    }

    private func profilesInUse(_ map: NetworkMap) throws -> JSONValue {
        let users = Set([map.selfNode.user] + map.peers.values.map(\.user))
        return try encoded(map.userProfiles.filter { users.contains($0.key) })
    }
}

extension JSONValue {
    /// A node with a null attribute list written as an empty one, and "now" in words.
    fileprivate var comparable: JSONValue {
        guard case .object(var node) = pruned() else { return self }
        if case .object(let attributes) = node["CapMap"] {
            node["CapMap"] = .object(attributes.mapValues { $0.isNull ? .array([]) : $0 })
        }
        if node["LastSeen"] == .string(now.description) { node["LastSeen"] = .string("<now>") }
        return .object(node)
    }
}

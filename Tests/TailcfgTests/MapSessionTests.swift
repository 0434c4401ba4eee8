import Foundation
import Tailcfg
import Testing
import WarrenCrypto

@Suite("Sessions of map messages")
struct MapSessionTests {
    private let now = ControlTime(seconds: 1_800_000_000)

    private func message(_ text: String) throws -> MapResponse {
        try JSONDecoder().decode(MapResponse.self, from: Data(text.utf8))
    }

    private func begun() throws -> NetworkMapReducer {
        var reducer = NetworkMapReducer()
        let first = #"{"MapSessionHandle": "s1", "Seq": 1, "Node": {"ID": 1}, "Peers": [{"ID": 2}, {"ID": 3}]}"#
        _ = try reducer.apply(try message(first), now: now)
        _ = try reducer.apply(try message(#"{"Seq": 2, "OnlineChange": {"2": true}}"#), now: now)
        return reducer
    }

    @Test func `a stream that goes on with a session changes the map it left`() throws {
        var reducer = try begun()
        #expect(reducer.session?.handle == "s1" && reducer.session?.sequence == 2)
        _ = try reducer.apply(try message(#"{"KeepAlive": true}"#), now: now)
        reducer.startStream()
        let change = try reducer.apply(
            try message(#"{"MapSessionHandle": "s1", "Seq": 3, "PeersRemoved": [2]}"#),
            now: now
        )
        #expect(change?.allPeers == false)
        #expect(reducer.map?.sortedPeers.map(\.id) == [3])
        #expect(reducer.session?.sequence == 3)
    }

    @Test func `another session replaces everything`() throws {
        var reducer = try begun()
        reducer.startStream()
        _ = try reducer.apply(try message(#"{"MapSessionHandle": "s2", "Seq": 1, "Node": {"ID": 1}}"#), now: now)
        #expect(reducer.map?.sortedPeers.isEmpty == true)
        #expect(reducer.session?.handle == "s2")
        reducer.startStream()
        _ = try reducer.apply(try message(#"{"Node": {"ID": 1}}"#), now: now)
        #expect(reducer.session == nil)
    }

    @Test func `a session that was forgotten is not gone on with, whatever the server says`() throws {
        var reducer = try begun()
        reducer.forgetSession()
        reducer.startStream()
        #expect(throws: NetworkMapError.firstMessageWithoutNode) {
            try reducer.apply(try message(#"{"MapSessionHandle": "s1", "PeersRemoved": [2]}"#), now: now)
        }
        #expect(reducer.map?.sortedPeers.count == 2)
    }

    @Test func `a poll asks to go on where it was, and a name without end is not remembered`() throws {
        var reducer = try begun()
        var request = MapRequest(version: .current, nodeKey: .zero, discoKey: .zero, hostinfo: nil)
        request.mapSession = reducer.session
        let text = String(decoding: try JSONEncoder().encode(request), as: UTF8.self)
        #expect(text.contains(#""MapSessionHandle":"s1""#) && text.contains(#""MapSessionSeq":2"#))
        reducer.startStream()
        let long = String(repeating: "s", count: 5000)
        _ = try reducer.apply(try message(#"{"MapSessionHandle": "\#(long)", "Node": {"ID": 1}}"#), now: now)
        #expect(reducer.session == nil)
    }
}

import HTTPTypes
import Store
import Testing
import WarrenAPI
import WarrenModel

@Suite("/v1/events", .timeLimit(.minutes(1)))
struct EventRouteTests {
    @Test func `events come in pages, in order, filtered`() async throws {
        try await APIHarness.with { api in
            for name in ["a", "b"] { _ = try await api.send(.post, "/v1/vms", body: #"{"name": "\#(name)"}"#) }
            _ = try await api.send(.post, "/v1/vms/a/start")
            let all = try await api.send(.get, "/v1/events").json["items"]?.array ?? []
            #expect(all.compactMap { $0["type"]?.string } == ["vm.created", "vm.created", "vm.running"])
            let after = try #require(all.first?["seq"]?.integer)
            #expect(try await api.send(.get, "/v1/events?after=\(after)").json["items"]?.array?.count == 2)
            #expect(try await api.send(.get, "/v1/events?vm=a").json["items"]?.array?.count == 2)
            #expect(try await api.send(.get, "/v1/events?type=vm.running").json["items"]?.array?.count == 1)
            #expect(try await api.send(.get, "/v1/events?type=vm.*&limit=1").json["nextCursor"]?.string != nil)
        }
    }

    @Test func `what was trimmed is gone, not silently skipped`() async throws {
        try await APIHarness.with { api in
            for name in ["a", "b", "c"] { _ = try await api.send(.post, "/v1/vms", body: #"{"name": "\#(name)"}"#) }
            try await api.database.trimEvents(keeping: 1)
            let reply = try await api.send(.get, "/v1/events?after=0")
            #expect(reply.status == 410 && reply.slug == "events-trimmed")
            let stream = try await api.send(
                .get,
                "/v1/events",
                headers: ["Accept": "text/event-stream", "Last-Event-ID": "1"]
            )
            #expect(stream.status == 410)
            #expect(try await api.send(.get, "/v1/events").json["items"]?.array?.count == 1)
        }
    }
}

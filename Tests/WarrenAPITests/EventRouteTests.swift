import HTTPTypes
import Store
import Testing
import WarrenAPI
import WarrenModel

@Suite("/v1/events and /v1/tailnet", .timeLimit(.minutes(1)))
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

    @Test func `the embedded tailnet is administered`() async throws {
        try await APIHarness.with { api in
            let made = try await api.send(
                .post,
                "/v1/tailnet/auth-keys",
                body: #"{"reusable": true, "expiry": "24h", "tags": ["tag:ci"]}"#
            )
            #expect(made.status == 201)
            #expect(try made.json["key"]?.string?.hasPrefix("tskey-auth-") == true)
            #expect(try await api.send(.post, "/v1/tailnet/auth-keys").status == 201)
            let bad = try await api.send(.post, "/v1/tailnet/auth-keys", body: #"{"tags": ["ci"], "expiry": 5}"#)
            #expect(bad.status == 422)
            let page = try await api.send(.get, "/v1/tailnet/auth-keys?limit=2").json
            let cursor = try #require(page["nextCursor"]?.string)
            #expect(try await api.send(.get, "/v1/tailnet/auth-keys?cursor=\(cursor)").json["items"]?.array?.count == 1)
            #expect(try await api.send(.delete, "/v1/tailnet/auth-keys/k1").status == 204)
            #expect(try await api.send(.delete, "/v1/tailnet/auth-keys/k9").status == 404)
            #expect(try await api.send(.post, "/v1/tailnet/logins/l1/approve").status == 204)
            #expect(try await api.send(.post, "/v1/tailnet/logins/l1/deny").status == 404)
        }
    }

    @Test func `a tailnet that is disabled says so`() async throws {
        try await APIHarness.with(hasTailnet: false) { api in
            let reply = try await api.send(.get, "/v1/tailnet/nodes")
            #expect(reply.status == 503 && reply.slug == "tailnet-unavailable")
        }
    }
}

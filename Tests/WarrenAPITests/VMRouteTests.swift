import HTTPTypes
import Store
import Testing
import WarrenAPI
import WarrenModel

@Suite("/v1/vms", .timeLimit(.minutes(1)))
struct VMRouteTests {
    @Test func `a VM is made, shown, listed, stopped, started and deleted`() async throws {
        try await APIHarness.with { api in
            let created = try await api.send(.post, "/v1/vms", body: #"{"name": "web", "labels": {"team": "edge"}}"#)
            #expect(created.status == 201)
            let id = try #require(try created.json["id"]?.string)
            #expect(created.header("Location") == "/v1/vms/\(id)")
            #expect(created.header("ETag") == "\"1.1\"")
            #expect(try await api.send(.get, "/v1/vms/\(id)").json["name"] == "web")
            #expect(try await api.send(.post, "/v1/vms/web/start").status == 202)
            #expect(try await api.send(.post, "/v1/vms/web/start", body: "{}").status == 200)
            #expect(
                try await api.send(.post, "/v1/vms/web/stop", body: #"{"timeout": "1s", "force": true}"#).status == 202
            )
            let restart = try await api.send(.post, "/v1/vms/web/restart")
            #expect(restart.status == 409 && restart.slug == "invalid-state")
            #expect(try await api.send(.delete, "/v1/vms/web?force=true").status == 202)
            let gone = try await api.send(.get, "/v1/vms/web")
            #expect(gone.status == 404 && gone.slug == "vm-not-found")
            #expect(try await api.send(.get, "/v1/vms/\(id)").status == 200)
            #expect(try await api.send(.post, "/v1/vms/\(id)/start").status == 404)
        }
    }

    @Test func `every fault of a body is reported at once`() async throws {
        try await APIHarness.with { api in
            let reply = try await api.send(
                .post,
                "/v1/vms",
                body:
                    #"{"name": "Bad Name", "cpus": 99, "memoryMiB": "x", "colour": 1, "disks": [], "networkInterface": {"authKey": 3}}"#
            )
            #expect(reply.status == 422 && reply.slug == "validation-failed")
            let errors = try reply.json["errors"]?.array ?? []
            let found = Set(errors.compactMap { error in error["pointer"]?.string })
            #expect(
                found.isSuperset(of: ["/name", "/cpus", "/memoryMiB", "/colour", "/disks", "/networkInterface/authKey"])
            )
            #expect(errors.contains { $0["pointer"] == "/disks" && $0["code"] == "not-supported" })
            #expect(try await api.send(.get, "/v1/vms").json["items"]?.array?.isEmpty == true)
        }
    }

    @Test func `names, images and room are checked`() async throws {
        try await APIHarness.with { api in
            _ = try await api.send(.post, "/v1/vms", body: #"{"name": "web"}"#)
            let taken = try await api.send(.post, "/v1/vms", body: #"{"name": "web"}"#)
            #expect(taken.status == 409 && taken.slug == "name-taken")
            let image = try await api.send(.post, "/v1/vms", body: #"{"image": "absent"}"#)
            #expect(image.status == 422)
            #expect(try image.json["errors"]?[0]?["pointer"] == "/image")
            let full = try await api.send(.post, "/v1/vms", body: #"{"name": "too-much"}"#)
            #expect(full.status == 429 && full.slug == "capacity-exceeded")
            #expect(full.header("Retry-After") != nil)
        }
    }

    @Test func `a secret made for a callback is shown once`() async throws {
        try await APIHarness.with { api in
            let body =
                #"{"name": "web", "networkInterface": {"authKey": "tskey-auth-x", "loginUrlCb": "https://example.com/h"}}"#
            let created = try await api.send(.post, "/v1/vms", body: body).json["networkInterface"]
            #expect(created?["loginUrlCb"]?["secret"]?.string?.hasPrefix("whsec_") == true)
            #expect(created?["authKey"] == ["set": true])
            let shown = try await api.send(.get, "/v1/vms/web")
            #expect(try shown.json["networkInterface"]?["loginUrlCb"]?["secret"] == ["set": true])
            #expect(!shown.text.contains("whsec_") && !shown.text.contains("tskey"))
        }
    }

    @Test func `lists are filtered and come in pages`() async throws {
        try await APIHarness.with { api in
            for name in ["a", "b", "c"] {
                let team = name == "c" ? "core" : "edge"
                _ = try await api.send(.post, "/v1/vms", body: #"{"name": "\#(name)", "labels": {"team": "\#(team)"}}"#)
            }
            func names(_ query: String) async throws -> [String] {
                try await api.send(.get, "/v1/vms" + query).json["items"]?.array?.compactMap { $0["name"]?.string }
                    ?? []
            }
            let edge = try await names("?label=team=edge")
            #expect(edge == ["a", "b"])
            #expect(try await names("?name=b") == ["b"])
            #expect(try await names("?state=running").isEmpty)
            let first = try await api.send(.get, "/v1/vms?limit=2").json
            #expect(first["items"]?.array?.count == 2)
            let cursor = try #require(first["nextCursor"]?.string)
            let second = try await api.send(.get, "/v1/vms?limit=2&cursor=\(cursor)").json
            #expect(second["items"]?.array?.count == 1)
            #expect(second["nextCursor"]?.isNull == true)
        }
    }

    @Test func `entity tags spare answers and guard changes`() async throws {
        try await APIHarness.with { api in
            _ = try await api.send(.post, "/v1/vms", body: #"{"name": "web"}"#)
            let tag = try #require(try await api.send(.get, "/v1/vms/web").header("ETag"))
            let same = try await api.send(.get, "/v1/vms/web", headers: ["If-None-Match": tag])
            #expect(same.status == 304 && same.body.isEmpty)
            let list = try #require(try await api.send(.get, "/v1/vms").header("ETag"))
            #expect(list.hasPrefix("W/"))
            #expect(try await api.send(.get, "/v1/vms", headers: ["If-None-Match": list]).status == 304)
            let stale = try await api.send(.post, "/v1/vms/web/start", headers: ["If-Match": "\"9.1\""])
            #expect(stale.status == 412 && stale.slug == "precondition-failed")
            #expect(try await api.send(.post, "/v1/vms/web/start", headers: ["If-Match": "\"1.999\""]).status == 202)
            #expect(try await api.send(.get, "/v1/vms/web", headers: ["If-None-Match": tag]).status == 200)
        }
    }

    @Test func `waiting ends when the state comes, and at once when it cannot`() async throws {
        try await APIHarness.with { api in
            _ = try await api.send(.post, "/v1/vms", body: #"{"name": "web"}"#)
            async let waited = api.send(.get, "/v1/vms/web/wait?state=running&agent=ready&timeout=50s")
            _ = try await api.send(.post, "/v1/vms/web/start")
            #expect(try await waited.json["reached"] == true)
            let short = try await api.send(.get, "/v1/vms/web/wait?state=stopped&timeout=1ms")
            #expect(try short.json["reached"] == false)
            let never = try await api.send(.get, "/v1/vms/web/wait?network=Running&timeout=10m")
            #expect(try never.json["reached"] == false)
            #expect(try await api.send(.get, "/v1/vms/web/wait").status == 400)
            #expect(try await api.send(.get, "/v1/vms/nobody/wait?state=running").status == 404)
        }
    }

    @Test func `commands run in running guests only`() async throws {
        try await APIHarness.with { api in
            _ = try await api.send(.post, "/v1/vms", body: #"{"name": "web"}"#)
            let early = try await api.send(.post, "/v1/vms/web/exec", body: #"{"command": ["true"]}"#)
            #expect(early.status == 409 && early.slug == "invalid-state")
            _ = try await api.send(.post, "/v1/vms/web/start")
            let ran = try await api.send(.post, "/v1/vms/web/exec", body: #"{"command": ["uname", "-a"]}"#).json
            #expect(ran["exitCode"] == 3)
            #expect(ran["stdoutBase64"] == "dW5hbWUgLWE=")
            let agent = try await api.send(.post, "/v1/vms/web/exec", body: #"{"command": ["no-agent"]}"#)
            #expect(agent.status == 409 && agent.slug == "no-guest-agent")
            #expect(try await api.send(.post, "/v1/vms/web/exec", body: "{}").status == 422)
        }
    }

    @Test func `the end of the console log is text`() async throws {
        try await APIHarness.with { api in
            _ = try await api.send(.post, "/v1/vms", body: #"{"name": "web"}"#)
            let reply = try await api.send(.get, "/v1/vms/web/console/log?tail=7B")
            #expect(reply.text == "login: ")
            #expect(reply.header("Content-Type")?.hasPrefix("text/plain") == true)
            #expect(try await api.send(.get, "/v1/vms/web/console/log?tail=x").status == 400)
            #expect(try await api.send(.get, "/v1/vms/web/network").slug == "no-network")
        }
    }
}

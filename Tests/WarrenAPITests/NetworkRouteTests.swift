import HTTPTypes
import Store
import Testing
import WarrenAPI
import WarrenModel

@Suite("/v1/vms/{vm}/network") struct NetworkRouteTests {
    private func makeVM(_ api: APIHarness, _ body: String = #"{"name": "web", "networkInterface": {}}"#) async throws {
        #expect(try await api.send(.post, "/v1/vms", body: body).status == 201)
    }

    @Test func `a patch changes the members it names, and null puts one back to its default`() async throws {
        try await APIHarness.with { api in
            try await makeVM(api)
            let body = #"{"exitNode": "auto", "acceptRoutes": false, "tags": ["tag:ci"], "hostname": "anna"}"#
            let first = try await api.send(.patch, "/v1/vms/web/network", body: body)
            #expect(first.status == 200, "\(first.text)")
            let interface = try first.json["networkInterface"]
            #expect(interface?["exitNode"] == "auto" && interface?["acceptRoutes"] == false)
            #expect(interface?["tags"] == ["tag:ci"] && interface?["hostname"] == "anna")
            #expect(try first.json["generation"] == 2 && first.header("ETag")?.hasPrefix("\"2.") == true)
            let second = try await api.send(
                .patch,
                "/v1/vms/web",
                body:
                    #"{"networkInterface": {"exitNode": null, "hostname": null, "acceptRoutes": null}, "labels": {"a": "b"}}"#,
                headers: ["Content-Type": "application/merge-patch+json"]
            )
            let after = try second.json["networkInterface"]
            #expect(after?["exitNode"] == .null && after?["hostname"] == "web" && after?["acceptRoutes"] == true)
            #expect(after?["tags"] == ["tag:ci"])
            #expect(try second.json["labels"] == ["a": "b"] && second.json["generation"] == 3)
        }
    }

    @Test(arguments: [
        (#"{"exitNode": "8.8.8.8"}"#, "/exitNode", "bad-format"), (#"{"colour": null}"#, "/colour", "unknown-member"),
        (#"{"colour": 1}"#, "/colour", "unknown-member"), (#"{"authKey": "tskey-auth-x"}"#, "/authKey", "refused"),
        (#"{"advertiseRoutes": ["10.0.0.0/33"]}"#, "/advertiseRoutes/0", "bad-format"),
        (#"{"shieldsUp": 1}"#, "/shieldsUp", "wrong-type"), ("[]", "", "wrong-type"),
    ])
    func `a fault points into the patch`(body: String, pointer: String, code: String) async throws {
        try await APIHarness.with { api in
            try await makeVM(api)
            let reply = try await api.send(.patch, "/v1/vms/web/network", body: body)
            #expect(reply.status == 422 && reply.slug == "validation-failed")
            #expect(try reply.json["errors"]?[0]?["pointer"] == .string(pointer))
            #expect(try reply.json["errors"]?[0]?["code"] == .string(code))
        }
    }

    @Test func `a network is neither added nor taken away`() async throws {
        try await APIHarness.with { api in
            try await makeVM(api)
            try await makeVM(api, #"{"name": "alone"}"#)
            let removed = try await api.send(.patch, "/v1/vms/web", body: #"{"networkInterface": null}"#)
            #expect(try removed.json["errors"]?[0]?["code"] == "refused")
            let added = try await api.send(.patch, "/v1/vms/alone", body: #"{"networkInterface": {}}"#)
            #expect(try added.json["errors"]?[0]?["pointer"] == "/networkInterface")
            let none = try await api.send(.patch, "/v1/vms/alone/network", body: "{}")
            #expect(none.status == 409 && none.slug == "no-network")
        }
    }

    @Test func `If-Match holds for the spec, and what needs a stop has a slug of its own`() async throws {
        try await APIHarness.with { api in
            try await makeVM(api)
            let stale = try await api.send(
                .patch,
                "/v1/vms/web/network",
                body: #"{"shieldsUp": true}"#,
                headers: ["If-Match": "\"7.1\""]
            )
            #expect(stale.status == 412)
            let good = try await api.send(
                .patch,
                "/v1/vms/web/network",
                body: #"{"shieldsUp": true}"#,
                headers: ["If-Match": "\"1.9\""]
            )
            #expect(good.status == 200)
            let live = try await api.send(.patch, "/v1/vms/web/network", body: #"{"transport": "websocket"}"#)
            #expect(live.status == 409 && live.slug == "vm-not-stopped" && live.text.contains("transport"))
        }
    }

    @Test func `a callback keeps its secret when its URL changes, and a new one is shown once`() async throws {
        try await APIHarness.with { api in
            try await makeVM(api, #"{"name": "web", "networkInterface": {"loginUrlCb": "https://a.example/x"}}"#)
            let moved = try await api.send(
                .patch,
                "/v1/vms/web/network",
                body: #"{"loginUrlCb": {"url": "https://b.example/x"}, "stateUpdateCb": "https://c.example/y"}"#
            )
            let interface = try moved.json["networkInterface"]
            #expect(interface?["loginUrlCb"]?["url"] == "https://b.example/x")
            #expect(interface?["loginUrlCb"]?["secret"]?["set"] == true)
            #expect(interface?["stateUpdateCb"]?["secret"]?.string?.hasPrefix("whsec_") == true)
            let gone = try await api.send(.patch, "/v1/vms/web/network", body: #"{"loginUrlCb": null}"#)
            #expect(try gone.json["networkInterface"]?["loginUrlCb"] == .null)
        }
    }

    @Test func `login and logout are begun, and ping tells every reply`() async throws {
        try await APIHarness.with { api in
            try await makeVM(api)
            let key = try await api.send(.post, "/v1/vms/web/network/login", body: #"{"authKey": "tskey-auth-x"}"#)
            #expect(key.status == 202 && !key.text.contains("tskey-auth-x"))
            #expect(try await api.send(.post, "/v1/vms/web/network/login").status == 202)
            #expect(try await api.send(.post, "/v1/vms/web/network/logout").status == 202)
            let bad = try await api.send(.post, "/v1/vms/web/network/login", body: #"{"authKey": ""}"#)
            #expect(bad.status == 422)
            let ping = try await api.send(.post, "/v1/vms/web/network/ping", body: #"{"peer": "db", "count": 2}"#)
            #expect(ping.status == 200)
            #expect(try ping.json["replies"]?.array?.count == 2 && ping.json["path"] == "direct")
            #expect(try ping.json["latencyMs"] == .number(0.5) && ping.json["error"] == .null)
            let nobody = try await api.send(.post, "/v1/vms/web/network/ping", body: #"{"peer": "nobody"}"#)
            #expect(nobody.status == 404 && nobody.slug == "peer-not-found")
            let faults = try await api.send(.post, "/v1/vms/web/network/ping", body: #"{"kind": "arp", "count": 99}"#)
            #expect(try faults.json["errors"]?.array?.count == 3)
        }
    }

    @Test func `a node that does not run can neither log in nor ping`() async throws {
        try await APIHarness.with { api in
            try await makeVM(api)
            #expect(try await api.send(.post, "/v1/vms/web/stop").status == 202)
            for (path, body) in [("login", "{}"), ("logout", nil), ("ping", #"{"peer": "db"}"#)] {
                let reply = try await api.send(.post, "/v1/vms/web/network/\(path)", body: body)
                #expect(reply.status == 409 && reply.slug == "network-not-running", "\(path)")
            }
        }
    }

    @Test func `changing a node needs network:write, and reading it does not`() async throws {
        try await APIHarness.with { api in
            try await makeVM(api)
            let reader = try await api.database.createToken(name: "r", scopes: [.vmRead], now: .epoch).token.reveal()
            let patch = try await api.send(.patch, "/v1/vms/web/network", body: "{}", token: reader)
            #expect(patch.status == 403)
            let ping = try await api.send(.post, "/v1/vms/web/network/ping", body: #"{"peer": "db"}"#, token: reader)
            #expect(ping.status == 403)
            #expect(try await api.send(.get, "/v1/vms/web/network", token: reader).status == 200)
        }
    }
}

import Coordination
import HTTPTypes
import NetTypes
import Tailcfg
import Testing
import WarrenAPI
import WarrenCrypto
import WarrenModel

@Suite("/v1/tailnet", .timeLimit(.minutes(1)))
struct TailnetRouteTests {
    /// Registers a machine as a client does, and says where it is.
    private func join(_ api: APIHarness, _ hostname: String, routes: [String] = []) async throws {
        let server = try #require(api.coordination)
        let machine = MachinePrivateKey().publicKey
        let node = NodePrivateKey().publicKey
        var hostinfo = Hostinfo()
        hostinfo.hostname = hostname
        hostinfo.os = "linux"
        hostinfo.routableIPs = routes.compactMap { IPPrefix($0) }
        let made = try await api.send(.post, "/v1/tailnet/auth-keys").json
        var request = RegisterRequest(version: .current, nodeKey: node, hostinfo: hostinfo)
        request.authKey = made["key"]?.string
        _ = try await server.registry.register(request, from: machine, remoteAddress: nil)
        let update = MapRequest(
            version: .current,
            nodeKey: node,
            discoKey: DiscoPrivateKey().publicKey,
            hostinfo: hostinfo
        )
        try await server.registry.update(update, from: machine)
    }

    @Test func `auth keys are made, listed with their use, and revoked`() async throws {
        try await APIHarness.with(hasTailnet: true) { api in
            let made = try await api.send(
                .post,
                "/v1/tailnet/auth-keys",
                body: #"{"reusable": true, "expiry": "24h", "tags": ["tag:ci"], "preapproved": true}"#
            )
            #expect(made.status == 201)
            #expect(try made.json["key"]?.string?.hasPrefix("tskey-auth-") == true)
            #expect(try made.json["preapproved"] == true && made.json["useCount"] == 0 && made.json["usedBy"] == .null)
            let id = try #require(try made.json["id"]?.string)
            let bad = try await api.send(.post, "/v1/tailnet/auth-keys", body: #"{"tags": ["ci"], "expiry": 5}"#)
            #expect(bad.status == 422)
            try await join(api, "web")
            let page = try await api.send(.get, "/v1/tailnet/auth-keys?limit=1").json
            let cursor = try #require(page["nextCursor"]?.string)
            #expect(try await api.send(.get, "/v1/tailnet/auth-keys?cursor=\(cursor)").json["items"]?.array?.count == 1)
            let keys = try await api.send(.get, "/v1/tailnet/auth-keys").json["items"]?.array ?? []
            #expect(
                keys.contains { $0["used"] == true && $0["useCount"] == 1 && $0["usedBy"] == "1" && $0["key"] == nil }
            )
            #expect(try await api.send(.delete, "/v1/tailnet/auth-keys/\(id)").status == 204)
            #expect(try await api.send(.delete, "/v1/tailnet/auth-keys/k9").status == 404)
        }
    }

    @Test func `logins are approved and denied`() async throws {
        try await APIHarness.with(hasTailnet: true) { api in
            let server = try #require(api.coordination)
            for hostname in ["a", "b"] {
                var hostinfo = Hostinfo()
                hostinfo.hostname = hostname
                let request = RegisterRequest(
                    version: .current,
                    nodeKey: NodePrivateKey().publicKey,
                    hostinfo: hostinfo
                )
                _ = try await server.registry.register(
                    request,
                    from: MachinePrivateKey().publicKey,
                    remoteAddress: "192.0.2.1"
                )
            }
            let logins = try await api.send(.get, "/v1/tailnet/logins").json["items"]?.array ?? []
            let ids = logins.compactMap { $0["id"]?.string }
            try #require(ids.count == 2)
            #expect(try await api.send(.post, "/v1/tailnet/logins/\(ids[0])/approve").status == 204)
            #expect(try await api.send(.post, "/v1/tailnet/logins/\(ids[1])/deny").status == 204)
            #expect(try await api.send(.post, "/v1/tailnet/logins/\(ids[1])/deny").status == 404)
            #expect(try await api.send(.get, "/v1/tailnet/nodes").json["items"]?.array?.count == 1)
        }
    }

    @Test func `a node is found by id and name, renamed, tagged, expired and removed`() async throws {
        try await APIHarness.with(hasTailnet: true) { api in
            for name in ["web", "db"] { try await join(api, name) }
            let web = try await api.send(.get, "/v1/tailnet/nodes/web")
            #expect(web.status == 200)
            #expect(try web.json["id"] == "1" && web.json["approved"] == true)
            let tag = try #require(web.header("ETag"))
            #expect(
                try await api.send(.get, "/v1/tailnet/nodes/1", headers: ["If-None-Match": tag]).status == 304
            )
            let renamed = try await api.send(
                .patch,
                "/v1/tailnet/nodes/web",
                body: #"{"name": "shop", "tags": ["tag:x"]}"#
            )
            #expect(renamed.status == 200)
            #expect(try renamed.json["dnsName"] == "shop.warren.internal" && renamed.json["tags"] == ["tag:x"])
            let taken = try await api.send(.patch, "/v1/tailnet/nodes/shop", body: #"{"name": "db"}"#)
            #expect(taken.status == 409 && taken.slug == "name-taken")
            let bad = try await api.send(
                .patch,
                "/v1/tailnet/nodes/shop",
                body: #"{"name": "-", "tags": ["x"], "keyExpiry": "soon", "colour": 1}"#
            )
            #expect(bad.status == 422)
            let pointers = try bad.json["errors"]?.array?.compactMap { $0["pointer"]?.string } ?? []
            #expect(Set(pointers) == ["/name", "/tags/0", "/keyExpiry", "/colour"])
            let past = try await api.send(
                .patch,
                "/v1/tailnet/nodes/db",
                body: #"{"keyExpiry": "2020-01-01T00:00:00Z"}"#
            )
            #expect(past.status == 422)
            #expect(try past.json["errors"]?[0]?["pointer"] == "/keyExpiry")
            #expect(try await api.send(.post, "/v1/tailnet/nodes/db/expire").json["expired"] == true)
            #expect(
                try await api.send(.patch, "/v1/tailnet/nodes/db", body: #"{"keyExpiry": null}"#).json["expired"]
                    == false
            )
            #expect(try await api.send(.post, "/v1/tailnet/nodes/db/approve").json["approved"] == true)
            #expect(try await api.send(.delete, "/v1/tailnet/nodes/db").status == 204)
            for reply in [
                try await api.send(.get, "/v1/tailnet/nodes/db"), try await api.send(.delete, "/v1/tailnet/nodes/99"),
                try await api.send(.post, "/v1/tailnet/nodes/db/expire"),
            ] { #expect(reply.status == 404 && reply.slug == "not-found") }
        }
    }

    @Test func `routes are approved`() async throws {
        try await APIHarness.with(hasTailnet: true) { api in
            try await join(api, "router", routes: ["10.0.0.0/24", "0.0.0.0/0", "::/0"])
            let path = "/v1/tailnet/nodes/router/routes"
            let reply = try await api.send(.post, path, body: #"{"approved": ["10.0.0.0/24", "::/0", "10.9.0.0/16"]}"#)
            #expect(reply.status == 200)
            #expect(try reply.json["exitNode"] == true)
            #expect(try reply.json["routes"]?["primary"] == ["10.0.0.0/24"])
            #expect(try reply.json["routes"]?["approved"]?.array?.count == 4)
            #expect(try reply.json["routes"]?["advertised"]?.array?.count == 3)
            let bad = try await api.send(.post, path, body: #"{"approved": ["10.0.0.1/24", "100.64.0.0/16", 1]}"#)
            #expect(bad.status == 422)
            #expect(try bad.json["errors"]?.array?.count == 3)
            #expect(try await api.send(.post, path, body: "{}").status == 422)
            #expect(try await api.send(.post, path, body: #"{"approved": []}"#).json["routes"]?["primary"] == [])
        }
    }

    @Test func `the policy is read, checked, replaced only when it is the one that was read`() async throws {
        try await APIHarness.with(hasTailnet: true) { api in
            let first = try await api.send(.get, "/v1/tailnet/policy")
            #expect(try first.json["grants"]?[0]?["src"] == ["*"])
            let tag = try #require(first.header("ETag"))
            let policy =
                #"{"hosts": {"db": "10.0.0.1"}, "grants": [{"src": ["*"], "dst": ["db"], "ip": ["tcp:5432"]}]}"#
            let trial = try await api.send(.put, "/v1/tailnet/policy?dryRun=true", body: policy)
            #expect(trial.status == 200)
            #expect(try await api.send(.get, "/v1/tailnet/policy").json["hosts"] == nil)
            let set = try await api.send(.put, "/v1/tailnet/policy", body: policy, headers: ["If-Match": tag])
            #expect(set.status == 200 && set.header("ETag") != tag)
            let stale = try await api.send(.put, "/v1/tailnet/policy", body: "{}", headers: ["If-Match": tag])
            #expect(stale.status == 412 && stale.slug == "precondition-failed")
            for target in ["/v1/tailnet/policy", "/v1/tailnet/policy?dryRun=true"] {
                let bad = try await api.send(
                    .put,
                    target,
                    body: #"{"grants": [{"src": ["tag:x"], "dst": ["nas"], "ip": ["tcp:x"]}]}"#
                )
                #expect(bad.status == 422)
                let pointers = try bad.json["errors"]?.array?.compactMap { $0["pointer"]?.string } ?? []
                #expect(pointers == ["/grants/0/src/0", "/grants/0/dst/0", "/grants/0/ip/0"])
            }
            #expect(try await api.send(.put, "/v1/tailnet/policy").status == 400)
            let kept = try await api.send(.get, "/v1/tailnet/policy")
            #expect(try kept.json["hosts"]?["db"] == "10.0.0.1")
            #expect(kept.header("ETag") == set.header("ETag"))
        }
    }

    @Test func `DNS settings are read, set and given back to the configuration`() async throws {
        try await APIHarness.with(hasTailnet: true) { api in
            #expect(try await api.send(.get, "/v1/tailnet/dns").json["magicDNS"] == true)
            let set = try await api.send(
                .put,
                "/v1/tailnet/dns",
                body: #"""
                    {"magicDNS": false, "resolvers": ["1.1.1.1", "https://dns.example/query"], "routes": {"Corp.Example.": ["10.0.0.53:5353"]},
                     "extraRecords": [{"name": "nas.corp.example", "value": "fd00::1"}], "searchDomains": ["corp.example"]}
                    """#
            )
            #expect(set.status == 200)
            let dns = try await api.send(.get, "/v1/tailnet/dns").json
            #expect(dns["routes"]?["corp.example"] == ["10.0.0.53:5353"] && dns["magicDNS"] == false)
            #expect(dns["extraRecords"]?[0]?["type"] == "AAAA" && dns["fallbackResolvers"] == [])
            let bad = try await api.send(
                .put,
                "/v1/tailnet/dns",
                body: #"""
                    {"resolvers": ["one", "1.1.1.1:0"], "routes": {"a b": [], "c": ["x"]}, "colour": 1,
                     "extraRecords": [{"name": "x", "type": "A", "value": "::1"}, {"value": "1.1.1.1"}], "searchDomains": [""]}
                    """#
            )
            let pointers = try bad.json["errors"]?.array?.compactMap { $0["pointer"]?.string } ?? []
            #expect(bad.status == 422)
            #expect(
                Set(pointers) == [
                    "/resolvers/0", "/resolvers/1", "/routes/a b", "/routes/c/0", "/colour", "/extraRecords/0/value",
                    "/extraRecords/1/name", "/searchDomains/0",
                ]
            )
            #expect(try await api.send(.delete, "/v1/tailnet/dns").status == 204)
            #expect(try await api.send(.get, "/v1/tailnet/dns").json["magicDNS"] == true)
        }
    }

    @Test func `a tailnet that is disabled says so`() async throws {
        try await APIHarness.with { api in
            for target in ["nodes", "policy", "dns"] {
                let reply = try await api.send(.get, "/v1/tailnet/\(target)")
                #expect(reply.status == 503 && reply.slug == "tailnet-unavailable")
            }
        }
    }
}

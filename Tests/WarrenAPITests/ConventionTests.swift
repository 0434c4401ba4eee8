import HTTPTypes
import Store
import Testing
import WarrenAPI
import WarrenModel

@Suite("API conventions", .timeLimit(.minutes(1)))
struct ConventionTests {
    @Test func `what is not there is a problem with a page behind it`() async throws {
        try await APIHarness.with { api in
            let reply = try await api.send(.get, "/v1/nothing")
            #expect(reply.status == 404)
            #expect(reply.header("Content-Type") == "application/problem+json")
            let problem = try reply.json
            #expect(problem["type"] == "/problems/not-found")
            #expect(problem["status"] == 404)
            #expect(problem["instance"] == "/v1/nothing")
            #expect(problem["requestId"]?.string == reply.header("X-Request-Id"))
            #expect(try await api.send(.get, "/problems/not-found", token: "").status == 200)
            #expect(try await api.send(.get, "/v1/vms/").status == 404)
        }
    }

    @Test(arguments: ProblemKind.allCases)
    func `every problem has a page that says what to do`(kind: ProblemKind) async throws {
        try await APIHarness.with { api in
            let plain = try await api.send(.get, "/problems/\(kind.rawValue)", token: "")
            #expect(plain.text.contains(kind.title) && plain.text.contains(kind.advice))
            let html = try await api.send(
                .get,
                "/problems/\(kind.rawValue)",
                headers: ["Accept": "text/html,*/*;q=0.8"]
            )
            #expect(html.header("Content-Type")?.hasPrefix("text/html") == true)
        }
    }

    @Test(arguments: [
        ("PUT", "/v1/vms", "GET, HEAD, POST"), ("POST", "/livez", "GET, HEAD"), ("PATCH", "/v1/vms/a/start", "POST"),
    ])
    func `a wrong method is told the right ones`(method: String, path: String, allow: String) async throws {
        try await APIHarness.with { api in
            let method = try #require(HTTPRequest.Method(method))
            let reply = try await api.send(method, path)
            #expect(reply.status == 405)
            #expect(reply.slug == "method-not-allowed")
            #expect(reply.header("Allow") == allow)
        }
    }

    @Test func `HEAD answers like GET, without a body`() async throws {
        try await APIHarness.with { api in
            let get = try await api.send(.get, "/v1")
            let head = try await api.send(.head, "/v1")
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            #expect(head.header("Content-Length") == get.header("Content-Length"))
        }
    }

    @Test func `a sane request id is taken over, another one is not`() async throws {
        try await APIHarness.with { api in
            let taken = try await api.send(.get, "/livez", headers: ["X-Request-Id": "abc-1.2_3"])
            #expect(taken.header("X-Request-Id") == "abc-1.2_3")
            let made = try await api.send(.get, "/livez", headers: ["X-Request-Id": "not sane!"])
            #expect(made.header("X-Request-Id")?.hasPrefix("req_") == true)
        }
    }

    @Test func `without a token only the health checks are served, and any Unix socket client is the administrator`()
        async throws
    {
        try await APIHarness.with { api in
            #expect(try await api.send(.get, "/livez", token: "").status == 200)
            #expect(try await api.send(.get, "/readyz", token: "").status == 200)
            for path in ["/v1", "/v1/vms", "/openapi.json", "/", "/nowhere"] {
                let reply = try await api.send(.get, path, token: "")
                #expect(reply.status == 401, "\(path)")
                #expect(reply.slug == "unauthenticated")
                #expect(reply.header("WWW-Authenticate")?.hasPrefix("Bearer") == true)
            }
            #expect(try await api.send(.get, "/v1/vms", token: "wrn_wrong").status == 401)
            #expect(try await api.send(.get, "/v1/vms", overUnixSocket: true).status == 200)
        }
    }

    @Test func `a token does what its scopes cover, on its VM`() async throws {
        try await APIHarness.with { api in
            let created = try await api.send(.post, "/v1/vms", body: #"{"name": "one", "networkInterface": {}}"#)
            let id = try #require(VMID(try created.json["id"]?.string ?? ""))
            func token(_ scopes: Set<APIScope>, vm: VMID? = nil) async throws -> String {
                try await api.database.createToken(name: "t", scopes: scopes, vm: vm, now: .epoch).token.reveal()
            }
            let reader = try await token([.vmRead])
            #expect(try await api.send(.get, "/v1/vms/one", token: reader).status == 200)
            let refused = try await api.send(.post, "/v1/vms/one/start", token: reader)
            #expect(refused.status == 403 && refused.slug == "forbidden")
            #expect(try await api.send(.get, "/v1/tailnet/nodes", token: reader).status == 403)
            let writer = try await token([.vmWrite])
            #expect(try await api.send(.get, "/v1/vms/one", token: writer).status == 200)

            _ = try await api.send(.post, "/v1/vms", body: #"{"name": "two"}"#)
            let bound = try await token([.vmWrite], vm: id)
            #expect(try await api.send(.get, "/v1/vms/one", token: bound).status == 200)
            #expect(try await api.send(.get, "/v1/vms/two", token: bound).status == 403)
            #expect(try await api.send(.get, "/v1/vms", token: bound).json["items"]?.array?.count == 1)
        }
    }

    @Test func `a login URL is shown to those who may log in, and masked for others`() async throws {
        try await APIHarness.with { api in
            _ = try await api.send(.post, "/v1/vms", body: #"{"name": "one", "networkInterface": {}}"#)
            let reader = try await api.database.createToken(name: "r", scopes: [.vmRead], now: .epoch).token.reveal()
            let shown = try await api.send(.get, "/v1/vms/one").json["network"]?["loginUrl"]
            #expect(shown == "http://127.0.0.1:7081/a/secret")
            for path in [
                "/v1/vms/one", "/v1/vms", "/v1/vms/one/network", "/v1/vms/one/wait?state=creating", "/v1/events",
            ] {
                #expect(try await !api.send(.get, path, token: reader).text.contains("secret"), "\(path)")
            }
        }
    }

    @Test func `bodies that are no JSON, too large, or of another type are refused`() async throws {
        try await APIHarness.with { api in
            let garbage = try await api.send(.post, "/v1/vms", body: "{nope")
            #expect(garbage.status == 400 && garbage.slug == "invalid-json")
            let large = try await api.send(.post, "/v1/vms", body: String(repeating: " ", count: (1 << 20) + 1))
            #expect(large.status == 413 && large.slug == "body-too-large")
            let typed = try await api.send(.post, "/v1/vms", body: "{}", headers: ["Content-Type": "text/plain"])
            #expect(typed.status == 415 && typed.slug == "unsupported-media-type")
            let accept = try await api.send(.get, "/v1/vms", headers: ["Accept": "image/png"])
            #expect(accept.status == 406 && accept.slug == "not-acceptable")
            let url = try await api.send(.get, "/v1/vms?name=" + String(repeating: "a", count: 8 << 10))
            #expect(url.status == 414)
            let headers = try await api.send(
                .get,
                "/v1/vms",
                headers: ["X-Large": String(repeating: "a", count: 16 << 10)]
            )
            #expect(headers.status == 431)
        }
    }

    @Test(arguments: [
        "/v1/vms?limit=0", "/v1/vms?limit=501", "/v1/vms?limit=x", "/v1/vms?state=asleep", "/v1/vms?network=running",
        "/v1/vms?label=x", "/v1/vms?cursor=x", "/v1/vms?colour=red", "/v1/vms?limit=1&limit=2", "/v1/vms?name=%zz",
        "/v1/events?after=-1", "/v1/events?type=vm.flying", "/v1/events?vm=nobody", "/v1?x=1", "/livez?x",
    ])
    func `a bad query is refused and the parameter named`(target: String) async throws {
        try await APIHarness.with { api in
            let reply = try await api.send(.get, target)
            #expect(reply.status == 400)
            #expect(reply.slug == "invalid-parameter")
        }
    }

    @Test func `the same key and body give the same answer, and nothing is made twice`() async throws {
        try await APIHarness.with { api in
            let headers = ["Idempotency-Key": "key-1"]
            let first = try await api.send(.post, "/v1/vms", body: #"{"cpus": 1}"#, headers: headers)
            let second = try await api.send(.post, "/v1/vms", body: #"{"cpus": 1}"#, headers: headers)
            #expect(first.status == 201 && second.status == 201)
            #expect(first.body == second.body)
            #expect(second.header("Location") == first.header("Location"))
            #expect(second.header("Idempotency-Replayed") == "true")
            #expect(try await api.send(.get, "/v1/vms").json["items"]?.array?.count == 1)
            let other = try await api.send(.post, "/v1/vms", body: #"{"cpus": 2}"#, headers: headers)
            #expect(other.status == 422 && other.slug == "idempotency-key-reused")
            let bad = try await api.send(.post, "/v1/vms", body: "{}", headers: ["Idempotency-Key": "a b"])
            #expect(bad.status == 400)
        }
    }

    @Test func `a request that failed may be sent again with its key`() async throws {
        try await APIHarness.with { api in
            let headers = ["Idempotency-Key": "key-2"]
            let body = #"{"name": "one", "image": "absent"}"#
            let failed = try await api.send(.post, "/v1/vms", body: body, headers: headers)
            #expect(failed.status == 422)
            let again = try await api.send(.post, "/v1/vms", body: #"{"name": "one"}"#, headers: headers)
            #expect(again.status == 201)
        }
    }

    @Test func `readyz names the check that fails`() async throws {
        try await APIHarness.with(isReady: false) { api in
            let reply = try await api.send(.get, "/readyz", token: "")
            #expect(reply.status == 503)
            #expect(try reply.json["checks"]?[0] == ["name": "qemu", "ok": false, "detail": "not found"])
        }
    }
}

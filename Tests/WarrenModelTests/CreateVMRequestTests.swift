import NetTypes
import Testing
import WarrenModel

@Suite("CreateVMRequest") struct CreateVMRequestTests {
    private let limits = VMLimits(maxMemoryMiB: 8192, maxCPUs: 4)
    private let defaults = VMDefaults(image: "micro", memoryMiB: 256, control: .embedded)

    private func request(_ text: String) throws -> CreateVMRequest {
        try CreateVMRequest(JSONTree(parsing: text), limits: limits)
    }

    private func faults(_ text: String) throws -> [FieldError] {
        let tree = try JSONTree(parsing: text)
        let failure = #expect(throws: ValidationFailure.self) { try CreateVMRequest(tree, limits: limits) }
        return failure?.errors ?? []
    }

    @Test func `an empty object is a VM with every default`() throws {
        var generator = SeededGenerator(seed: 1)
        let (spec, secrets) = try request("{}").resolved(defaults: defaults, using: &generator)
        #expect(spec.name.text.hasPrefix("vm-"))
        #expect(spec.image == "micro" && spec.cpus == 1 && spec.memoryMiB == 256 && spec.autostart)
        #expect(spec.restart == .standard && spec.labels.isEmpty && spec.networkInterface == nil)
        #expect(secrets == VMSecrets())
    }

    @Test func `reads everything that is served`() throws {
        let request = try request(
            #"""
            {"name": "web-1", "image": "micro", "cpus": 2, "memoryMiB": 512.0, "kernelArgs": "quiet", "autostart": false,
             "restart": {"policy": "always", "maxRetries": 9}, "labels": {"team": "edge", "a/b": ""},
             "networkInterface": {"authKey": "tskey-auth-x", "controlUrl": "https://hs.example.com", "hostname": "w",
              "ephemeral": true, "acceptDns": false, "acceptRoutes": false, "shieldsUp": true, "transport": "websocket",
              "tags": ["tag:ci", "tag:web-1", "tag:ci"], "exitNode": "auto", "exitNodeAllowLanAccess": true,
              "advertiseRoutes": ["192.168.7.0/24", "fd00:7::/64"], "loginUrlCb": "https://app.example.com/l",
              "stateUpdateCb": {"url": "https://app.example.com/s", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
               "headers": {"X-Tenant": "a"}}}}
            """#
        )
        #expect(request.callbacksWithoutSecret == [.loginURL])
        var generator = SeededGenerator(seed: 1)
        let (spec, secrets) = request.resolved(defaults: defaults, using: &generator)
        #expect(spec.name.text == "web-1" && spec.cpus == 2 && spec.memoryMiB == 512 && spec.kernelArgs == "quiet")
        #expect(spec.restart == RestartPolicy(policy: .always, maxRetries: 9) && !spec.autostart)
        #expect(spec.labels == ["team": "edge", "a/b": ""])
        let interface = try #require(spec.networkInterface)
        #expect(interface.control.description == "https://hs.example.com" && interface.hasAuthKey)
        #expect(interface.hostname.text == "w" && interface.isEphemeral)
        #expect(
            interface.preferences
                == NetworkPreferences(
                    tags: ["tag:ci", "tag:web-1"],
                    exitNode: .auto,
                    exitNodeAllowLanAccess: true,
                    acceptRoutes: false,
                    acceptDNS: false,
                    advertiseRoutes: ["192.168.7.0/24", "fd00:7::/64"].compactMap { IPPrefix($0) },
                    shieldsUp: true,
                    transport: .websocket
                )
        )
        #expect(interface.callbacks.count == 2 && interface.callbacks[.stateUpdate]?.headerNames == ["X-Tenant"])
        #expect(secrets.authKey?.reveal() == "tskey-auth-x" && secrets.callbacks.count == 2)
        #expect(secrets.callbacks[.stateUpdate]?.headers["X-Tenant"]?.reveal() == "a")
        let stored = try ModelJSON.decode(VMSpec.self, from: ModelJSON.text(spec))
        #expect(stored == spec)
        #expect(try ModelJSON.decode(VMSecrets.self, from: ModelJSON.text(secrets)) == secrets)
    }

    @Test func `finds all faults at once`() throws {
        let errors = try faults(
            #"""
            {"name": "Web_1", "cpus": 9, "memoryMiB": "many", "colour": 1, "disks": [], "labels": {"a b": "x", "ok": 1},
             "restart": {"policy": "sometimes", "often": true},
             "networkInterface": {"authKey": "", "controlUrl": "ftp://x", "exitNode": "a b", "nope/~": 1, "acceptDns": 0,
              "loginUrlCb": {"secret": "x"}, "stateUpdateCb": 7}}
            """#
        )
        let found = Set(errors.map { "\($0.pointer) \($0.code.rawValue)" })
        #expect(
            found == [
                "/name bad-format", "/cpus out-of-range", "/memoryMiB wrong-type", "/colour unknown-member",
                "/disks not-supported",
                "/labels/a b bad-format", "/labels/ok wrong-type", "/restart/policy bad-format",
                "/restart/often unknown-member",
                "/networkInterface/authKey bad-format", "/networkInterface/controlUrl bad-format",
                "/networkInterface/exitNode bad-format", "/networkInterface/nope~1~0 unknown-member",
                "/networkInterface/acceptDns wrong-type", "/networkInterface/loginUrlCb/url required",
                "/networkInterface/loginUrlCb/secret bad-format", "/networkInterface/stateUpdateCb wrong-type",
            ]
        )
        #expect(errors.count == found.count)
    }

    @Test(arguments: [
        ("[]", "", FieldError.Code.wrongType), ("null", "", .wrongType), (#"{"cpus":0}"#, "/cpus", .outOfRange),
        (#"{"cpus":1.5}"#, "/cpus", .wrongType), (#"{"cpus":null}"#, "/cpus", .wrongType),
        (#"{"cpus":1e300}"#, "/cpus", .outOfRange),
        (#"{"memoryMiB":8193}"#, "/memoryMiB", .outOfRange), (#"{"memoryMiB":63}"#, "/memoryMiB", .outOfRange),
        (#"{"name":7}"#, "/name", .wrongType), (#"{"image":"../x"}"#, "/image", .badFormat),
        (#"{"kernelArgs":"a\nb"}"#, "/kernelArgs", .badFormat),
        (#"{"networkInterface":[]}"#, "/networkInterface", .wrongType), (#"{"ttl":null}"#, "/ttl", .notSupported),
        (#"{"networkInterface":{"tags":["ci"]}}"#, "/networkInterface/tags/0", .badFormat),
        (#"{"networkInterface":{"tags":["tag:a","tag:7"]}}"#, "/networkInterface/tags/1", .badFormat),
        (#"{"networkInterface":{"tags":"tag:a"}}"#, "/networkInterface/tags", .wrongType),
        (#"{"networkInterface":{"exitNode":7}}"#, "/networkInterface/exitNode", .wrongType),
        (#"{"networkInterface":{"exitNode":"8.8.8.8"}}"#, "/networkInterface/exitNode", .badFormat),
        (#"{"networkInterface":{"exitNode":"100.100.100.100"}}"#, "/networkInterface/exitNode", .badFormat),
        (#"{"networkInterface":{"exitNode":""}}"#, "/networkInterface/exitNode", .badFormat),
        (#"{"networkInterface":{"transport":"udp"}}"#, "/networkInterface/transport", .badFormat),
        (#"{"networkInterface":{"shieldsUp":"yes"}}"#, "/networkInterface/shieldsUp", .wrongType),
        (#"{"networkInterface":{"advertiseRoutes":["10.0.0.1/24"]}}"#, "/networkInterface/advertiseRoutes/0", .refused),
        (#"{"networkInterface":{"advertiseRoutes":["10.0.0.0"]}}"#, "/networkInterface/advertiseRoutes/0", .badFormat),
        (#"{"networkInterface":{"advertiseRoutes":[7]}}"#, "/networkInterface/advertiseRoutes/0", .wrongType),
        (
            #"{"networkInterface":{"loginUrlCb":{"url":"https://a/","headers":{"Host":"x"}}}}"#,
            "/networkInterface/loginUrlCb/headers/Host", .badFormat
        ),
        (
            #"{"networkInterface":{"loginUrlCb":{"url":"https://a/","headers":{"X":"a\r\nb"}}}}"#,
            "/networkInterface/loginUrlCb/headers/X", .badFormat
        ),
    ])
    func `points at one fault`(text: String, pointer: String, code: FieldError.Code) throws {
        let errors = try faults(text)
        #expect(errors.map(\.pointer) == [pointer])
        #expect(errors.map(\.code) == [code])
    }

    @Test(arguments: [
        "0.0.0.0/0", "::/0", "100.64.0.0/10", "100.99.0.0/16", "96.0.0.0/4", "fd7a:115c:a1e0::/48", "127.0.0.0/8",
        "::1/128", "::/127", "169.254.0.0/16", "fe80::/64", "224.0.0.0/4", "ff00::/8", "0.0.0.0/8", "fd00:7::1/64",
    ])
    func `a guest cannot offer the tailnet itself, everything, or what is not routed`(text: String) throws {
        let errors = try faults("{\"networkInterface\":{\"advertiseRoutes\":[\"192.168.0.0/16\",\"\(text)\"]}}")
        #expect(errors.map(\.pointer) == ["/networkInterface/advertiseRoutes/1"])
        #expect(errors.map(\.code) == [.refused])
    }

    @Test func `at most 64 subnets and 32 tags`() throws {
        let routes = (0..<65).map { "\"10.0.\($0).0/24\"" }.joined(separator: ",")
        let tags = (0..<33).map { "\"tag:t\($0)\"" }.joined(separator: ",")
        let errors = try faults("{\"networkInterface\":{\"advertiseRoutes\":[\(routes)],\"tags\":[\(tags)]}}")
        #expect(Set(errors.map(\.pointer)) == ["/networkInterface/advertiseRoutes", "/networkInterface/tags"])
        #expect(errors.allSatisfy { $0.code == .outOfRange })
    }

    @Test(arguments: [
        ("auto", ExitNodeChoice.auto), ("100.64.0.7", .address(.v4(IPv4Address(100, 64, 0, 7)))),
        ("gate", .named("gate")), ("gate.tail1234.ts.net.", .named("gate.tail1234.ts.net.")),
        ("nAbCdEf1CNTRL", .named("nAbCdEf1CNTRL")), ("17", .named("17")),
    ])
    func `an exit node is auto, an address, a name or a stable id`(text: String, choice: ExitNodeChoice) throws {
        let request = try request("{\"networkInterface\":{\"exitNode\":\"\(text)\"}}")
        #expect(request.networkInterface?.preferences.exitNode == choice)
        #expect(choice.description == text)
    }

    @Test func `a spec stored before it had preferences reads with their defaults`() throws {
        let text =
            #"{"control":"embedded","hasAuthKey":false,"callbacks":{},"hostname":"web","isEphemeral":false,"acceptsDNS":false}"#
        let spec = try ModelJSON.decode(NetworkInterfaceSpec.self, from: text)
        #expect(spec.preferences == NetworkPreferences(acceptDNS: false))
    }

    @Test func `counts and measures labels`() throws {
        let many = (0..<65).map { "\"k\($0)\":\"\"" }.joined(separator: ",")
        #expect(try faults("{\"labels\":{\(many)}}").map(\.code) == [.outOfRange])
        let long = String(repeating: "x", count: 256)
        #expect(try faults("{\"labels\":{\"a\":\"\(long)\"}}").map(\.pointer) == ["/labels/a"])
        #expect(try faults("{\"labels\":{\"\(long)\":\"\"}}").map(\.code) == [.badFormat])
    }

    @Test func `null means absent where the answer may say null`() throws {
        let request = try request(
            #"{"kernelArgs":null,"networkInterface":{"authKey":null,"controlUrl":null,"loginUrlCb":null}}"#
        )
        #expect(request.kernelArgs == nil && request.networkInterface == NetworkInterfaceRequest())
    }

    @Test func `points at every URL that policy refuses`() throws {
        struct NoPort9: WebTargetPolicy {
            func refusal(of url: WebURL, for purpose: DialPurpose) -> String? {
                url.port == 9 ? "\(purpose.rawValue) to port 9" : nil
            }
        }
        let request = try request(
            #"""
            {"networkInterface": {"controlUrl": "http://a:9", "loginUrlCb": "http://a:9/x", "netmapUpdateCb": "http://a:8",
              "stateUpdateCb": {"url": "http://a:9/y"}}}
            """#
        )
        let errors = request.refusals(by: NoPort9())
        #expect(
            errors.map(\.pointer) == [
                "/networkInterface/controlUrl", "/networkInterface/loginUrlCb", "/networkInterface/stateUpdateCb/url",
            ]
        )
        #expect(errors.map(\.detail) == ["control to port 9", "webhook to port 9", "webhook to port 9"])
        #expect(errors.allSatisfy { $0.code == .refused })
    }
}

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
              "ephemeral": true, "acceptDns": false, "loginUrlCb": "https://app.example.com/l",
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
        #expect(interface.hostname.text == "w" && interface.isEphemeral && !interface.acceptsDNS)
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
             "networkInterface": {"authKey": "", "controlUrl": "ftp://x", "exitNode": null, "nope/~": 1, "acceptDns": 0,
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
                "/networkInterface/exitNode not-supported", "/networkInterface/nope~1~0 unknown-member",
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

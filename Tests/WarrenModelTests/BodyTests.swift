import Testing
import WarrenModel

@Suite("Bodies of the API") struct BodyTests {
    private let now = Timestamp(millisecondsSinceEpoch: 1_795_397_580_000)

    private func sampleVM() throws -> VirtualMachine {
        let name = try #require(VMName("web"))
        let url = try #require(WebURL("https://a.example/hook"))
        let interface = NetworkInterfaceSpec(
            control: .embedded,
            hasAuthKey: true,
            callbacks: [.loginURL: CallbackSpec(url: url, headerNames: ["X-A"])],
            hostname: name
        )
        let spec = VMSpec(name: name, image: "micro", memoryMiB: 256, networkInterface: interface)
        let status = VMStatus(desiredState: .running, stateSince: now, network: NetworkStatus(since: now))
        return VirtualMachine(
            id: VMID(ULID(high: 1, low: 2)),
            spec: spec,
            status: status,
            createdAt: now,
            updatedAt: now
        )
    }

    @Test func `a VM always has the same members, and no secret`() throws {
        let vm = try sampleVM()
        let tree = try JSONTree(parsing: ModelJSON.bytes(vm))
        let members = try #require(tree.object).keys.sorted()
        #expect(
            members == [
                "accelerator", "autostart", "cpus", "createdAt", "desiredState", "generation", "id", "image",
                "kernelArgs", "labels",
                "memoryMiB", "name", "network", "networkInterface", "restart", "state", "stateDeadline",
                "stateGeneration", "stateReason",
                "stateSince", "updatedAt",
            ]
        )
        #expect(tree["stateReason"] == .null && tree["state"] == "creating" && vm.entityTag == "\"1.1\"")
        #expect(tree["networkInterface"]?["authKey"] == ["set": true])
        #expect(tree["networkInterface"]?["controlUrl"] == "embedded")
        #expect(
            tree["networkInterface"]?["loginUrlCb"]
                == ["url": "https://a.example/hook", "secret": ["set": true], "headers": ["X-A": ["set": true]]]
        )
        #expect(tree["networkInterface"]?["stateUpdateCb"] == .null)
        let network = try #require(tree["network"]?.object)
        #expect(network["stateCode"] == 0 && network["state"] == "NoState" && network["internet"] == "blocked")
        #expect(network["loginUrl"] == .null && network["homeDerp"] == .null && network["addresses"] == [])
        #expect(network["cleanup"] == nil)
        #expect(try ModelJSON.decode(VirtualMachine.self, from: ModelJSON.bytes(vm)) == vm)
    }

    @Test func `a made secret is shown when asked`() throws {
        var generator = SeededGenerator(seed: 5)
        let secret = WebhookSecret.random(using: &generator)
        var vm = try sampleVM()
        vm.networkInterface?.show(secret, of: .loginURL)
        let tree = try JSONTree(parsing: ModelJSON.bytes(vm))
        #expect(tree["networkInterface"]?["loginUrlCb"]?["secret"] == .string(secret.reveal()))
        #expect(try ModelJSON.decode(VirtualMachine.self, from: ModelJSON.bytes(vm)) == vm)
    }

    @Test(arguments: zip(NetworkState.allCases, 0...6))
    func `network states have upstream's numbers`(state: NetworkState, code: Int) {
        #expect(state.code == code)
    }

    @Test func `a state keeps its beginning until it changes`() {
        var status = NetworkStatus(since: now)
        status.enter(.noState, now: now + .seconds(5))
        #expect(status.since == now)
        status.enter(.running, now: now + .seconds(6))
        #expect(status.since == now + .seconds(6) && status.stateCode == 6)
    }

    @Test func `login URLs are masked to their host`() {
        var status = NetworkStatus(since: now)
        status.loginUrl = "http://127.0.0.1:7081/login/abcdef"
        #expect(status.masked.loginUrl == "http://127.0.0.1:7081/…")
        let draft = EventDraft.loginRequired(loginURL: "https://c.example/a/b?c")
        let event = Event(
            id: EventID(ULID(high: 0, low: 1)),
            seq: 1,
            type: draft.type,
            timestamp: now,
            data: .object(draft.details)
        )
        #expect(event.masked.data["loginUrl"] == "https://c.example/…")
        #expect(event.masked.data["expiresAt"] == .null)
    }

    @Test func `events say what the contract says`() throws {
        let changed = EventDraft.stateChanged(to: .running, from: .starting)
        #expect(
            changed.details["state"] == "Running" && changed.details["stateCode"] == 6
                && changed.details["previous"] == "Starting"
        )
        let netmap = EventDraft.netmapChanged(
            addresses: ["100.64.0.1"],
            peers: [PeerStatus(name: "db", addresses: ["100.64.0.2"], online: true)]
        )
        let peer = try #require(netmap.details["netmap"]?["peers"]?[0])
        #expect(peer == ["name": "db", "addresses": ["100.64.0.2"], "online": true, "exitNode": false])
        #expect(netmap.details["netmap"]?["self"]?["addresses"] == ["100.64.0.1"])
        #expect(EventType.networkLoginRequired.callback == .loginURL && EventType.created.callback == nil)
    }

    @Test func `reads the smaller requests`() throws {
        #expect(
            try StopRequest(["timeout": "10s", "force": true]) == StopRequest(timeout: .seconds(10), isForced: true)
        )
        #expect(try StopRequest([:]) == StopRequest())
        #expect(throws: ValidationFailure.self) { try StopRequest(["timeout": "soon"]) }
        #expect(throws: ValidationFailure.self) { try StopRequest(["timeout": 10]) }
        #expect(try NetworkLoginRequest(["authKey": "k"]).authKey?.reveal() == "k")
        #expect(try NetworkLoginRequest([:]).authKey == nil)
        let key = try CreateAuthKeyRequest(["reusable": true, "expiry": "24h", "tags": ["tag:ci"]])
        #expect(key.reusable && !key.ephemeral && key.expiry == .seconds(86_400) && key.tags == ["tag:ci"])
        #expect(throws: ValidationFailure.self) { try CreateAuthKeyRequest(["tags": ["ci"]]) }
        #expect(throws: ValidationFailure.self) { try CreateAuthKeyRequest(["expiry": "0s"]) }
    }

    @Test func `reads an exec request`() throws {
        let exec = try ExecRequest([
            "command": ["sh", "-c", "a\nb"], "env": ["A": "1"], "cwd": "/tmp", "uid": 0, "gid": 5,
            "stdinBase64": "aGk=", "timeout": "5s",
        ])
        #expect(
            exec.command == ["sh", "-c", "a\nb"] && exec.environment == ["A": "1"]
                && exec.standardInput == [0x68, 0x69]
        )
        #expect(exec.timeout == .seconds(5) && exec.userID == 0 && exec.groupID == 5 && exec.workingDirectory == "/tmp")
        let failure = #expect(throws: ValidationFailure.self) {
            try ExecRequest(["command": [], "env": ["1A": "x"], "cwd": "tmp", "stdinBase64": "?", "uid": -1, "x": 1])
        }
        #expect(
            Set(failure?.errors.map(\.pointer) ?? []) == ["/command", "/env/1A", "/cwd", "/stdinBase64", "/uid", "/x"]
        )
        #expect(throws: ValidationFailure.self) { try ExecRequest([:]) }
        let answer = ExecAnswer(exitCode: 0, stdout: [1, 2], stderr: [])
        #expect(answer.stdout == [1, 2] && answer.stdoutBase64 == "AQI=")
        #expect(try JSONTree(parsing: ModelJSON.bytes(answer))["signal"] == .null)
    }

    @Test func `a problem leaves out what it does not know`() throws {
        let problem = Problem(slug: "vm-not-found", title: "No such VM", status: 404, detail: "x")
        let tree = try JSONTree(parsing: ModelJSON.bytes(problem))
        #expect(tree["type"] == "/problems/vm-not-found" && tree["errors"] == nil && problem.slug == "vm-not-found")
        #expect(try JSONTree(parsing: ModelJSON.bytes(Page<Problem>(items: [])))["nextCursor"] == .null)
    }

    @Test func `admin covers everything, writing covers reading`() {
        for scope in APIScope.allCases { #expect(APIScope.admin.covers(scope)) }
        #expect(
            APIScope.vmWrite.covers(.vmRead) && !APIScope.vmRead.covers(.vmWrite) && !APIScope.vmWrite.covers(.admin)
        )
    }
}

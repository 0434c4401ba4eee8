import Coordination
import Tailcfg
import Testing
import WarrenCrypto

@Suite("Register decision table")
struct RegisterDecisionTests {
    private var state: TailnetState
    private let now = ManualTime.start
    private let machine = TestMachine("web")
    private let stranger = TestMachine("other")

    init() throws {
        state = try TailnetState(rules: TailnetRules(), snapshot: CoordinationSnapshot())
    }

    private mutating func key(reusable: Bool = false, tags: [String] = [], lifetime: Int64 = 3600) -> String {
        state.createAuthKey(
            isReusable: reusable,
            isEphemeral: false,
            tags: tags,
            lifetimeSeconds: lifetime,
            now: now
        ).text
    }

    private mutating func join(_ machine: TestMachine, with key: String) throws -> NodeRecord {
        let request = machine.registration(authKey: key)
        guard case .enrol(let id) = state.decide(request, from: machine.machineKey, now: now) else {
            throw UnexpectedAnswer()
        }
        return try state.enrol(request, from: machine.machineKey, authKeyID: id, now: now).node
    }

    @Test func `0: refuses a zero key and an old client before anything changes`() {
        var request = machine.registration()
        request.nodeKey = .zero
        #expect(state.decide(request, from: machine.machineKey, now: now) == .refuse("node key missing"))
        request = machine.registration()
        request.version = 112
        #expect(
            state.decide(request, from: machine.machineKey, now: now)
                == .refuse("unsupported client version 112; need 1.82 or newer")
        )
    }

    @Test mutating func `1: refuses a key bound to another machine, former keys included`() throws {
        var machine = machine
        _ = try join(machine, with: key())
        let first = machine.nodeKey
        machine.nodeKey = NodePrivateKey().publicKey
        _ = try join(machine, with: key())
        for taken in [first, machine.nodeKey] {
            var request = stranger.registration(authKey: key())
            request.nodeKey = taken
            #expect(state.decide(request, from: stranger.machineKey, now: now) == .refuse("node key in use"))
        }
    }

    @Test mutating func `2: an expiry in the past is a logout, even with an auth key`() throws {
        let node = try join(machine, with: key())
        var request = machine.registration(authKey: key())
        request.expiry = RegisterRequest.logoutExpiry
        #expect(state.decide(request, from: machine.machineKey, now: now) == .logOut(node.id))
        request = stranger.registration()
        request.expiry = RegisterRequest.logoutExpiry
        #expect(state.decide(request, from: stranger.machineKey, now: now) == .logOut(nil))
    }

    @Test mutating func `3: an expiry in the future can only come nearer`() throws {
        let node = try join(machine, with: key())
        var request = machine.registration()
        request.expiry = now.adding(seconds: 100)
        #expect(state.decide(request, from: machine.machineKey, now: now) == .limitExpiry(node.id, request.expiry))
        let rules = TailnetRules(nodeKeyLifetimeSeconds: 50)
        state = try TailnetState(rules: rules, snapshot: CoordinationSnapshot())
        _ = try join(machine, with: key())
        #expect(
            state.decide(request, from: machine.machineKey, now: now) == .refuse("extending key is not allowed")
        )
    }

    @Test mutating func `4: a known node is let in whatever key or follow-up it repeats`() throws {
        let spent = key()
        let node = try join(machine, with: spent)
        for text in [spent, "tskey-auth-x-y", nil] {
            let request = machine.registration(authKey: text, followup: "http://x/login/y")
            #expect(state.decide(request, from: machine.machineKey, now: now) == .known(node.id))
        }
    }

    @Test mutating func `5: the machine keeps its node through new node keys`() throws {
        var machine = machine
        let first = try join(machine, with: key())
        machine.nodeKey = NodePrivateKey().publicKey
        let second = try join(machine, with: key())
        #expect(second.id == first.id && second.ipv4 == first.ipv4 && second.givenName == first.givenName)
        #expect(second.nodeKey == machine.nodeKey && second.formerNodeKeys == [first.nodeKey])
        #expect(state.node(withKey: first.nodeKey) == nil)
        machine.nodeKey = NodePrivateKey().publicKey
        let tagged = try join(machine, with: key(tags: ["tag:ci"]))
        #expect(tagged.id != first.id && tagged.tags == ["tag:ci"])
    }

    @Test mutating func `6: a single-use key tolerates its own machine for a day`() throws {
        var machine = machine
        let single = key(lifetime: 10)
        let node = try join(machine, with: single)
        machine.nodeKey = NodePrivateKey().publicKey
        let request = machine.registration(authKey: single)
        let id = try #require(AuthKeyText.id(in: single))
        #expect(state.decide(request, from: machine.machineKey, now: now) == .enrol(authKeyID: id))
        #expect(
            state.decide(request, from: machine.machineKey, now: now.adding(seconds: 86_400))
                == .refuse("auth key already used")
        )
        #expect(
            state.decide(stranger.registration(authKey: single), from: stranger.machineKey, now: now)
                == .refuse("auth key already used")
        )
        state.removeNode(node.id, now: now)
        #expect(state.decide(request, from: machine.machineKey, now: now) == .refuse("auth key already used"))
    }

    @Test mutating func `7: says why a key is bad`() throws {
        let reusable = key(reusable: true)
        let revoked = key()
        let id = try #require(AuthKeyText.id(in: revoked))
        let isRevoked = state.revokeAuthKey(id)
        #expect(isRevoked)
        let wrongSecret = String(reusable.dropLast()) + (reusable.hasSuffix("0") ? "1" : "0")
        for (text, reason) in [
            ("nonsense", "invalid auth key"), (wrongSecret, "invalid auth key"), (revoked, "auth key revoked"),
        ] {
            let request = machine.registration(authKey: text)
            #expect(state.decide(request, from: machine.machineKey, now: now) == .refuse(reason))
        }
        let late = now.adding(seconds: 3600)
        let request = machine.registration(authKey: reusable)
        #expect(state.decide(request, from: machine.machineKey, now: late) == .refuse("auth key expired"))
    }

    @Test mutating func `tags must be those of the key`() throws {
        let tagged = key(reusable: true, tags: ["tag:ci", "tag:web"])
        var request = machine.registration(authKey: tagged)
        request.hostinfo?.requestTags = ["tag:ci"]
        let id = try #require(AuthKeyText.id(in: tagged))
        #expect(state.decide(request, from: machine.machineKey, now: now) == .enrol(authKeyID: id))
        request.hostinfo?.requestTags = ["tag:prod"]
        let refusal = RegisterDecision.refuse("requested tags [tag:prod] are invalid or not permitted")
        #expect(state.decide(request, from: machine.machineKey, now: now) == refusal)
        request.authKey = key()
        #expect(state.decide(request, from: machine.machineKey, now: now) == refusal)
    }

    @Test mutating func `8: an expired key without credentials hears that it has ended`() throws {
        state = try TailnetState(rules: TailnetRules(nodeKeyLifetimeSeconds: 50), snapshot: CoordinationSnapshot())
        _ = try join(machine, with: key())
        let late = now.adding(seconds: 50)
        #expect(state.decide(machine.registration(), from: machine.machineKey, now: late) == .keyExpired)
        let fresh = key()
        let id = try #require(AuthKeyText.id(in: fresh))
        let request = machine.registration(authKey: fresh)
        #expect(state.decide(request, from: machine.machineKey, now: late) == .enrol(authKeyID: id))
    }

    @Test mutating func `9 and 10: a follow-up waits for its own login only`() {
        let request = machine.registration()
        #expect(state.decide(request, from: machine.machineKey, now: now) == .startLogin)
        let (login, _) = state.startLogin(request, from: machine.machineKey, remoteAddress: nil, now: now)
        let (again, _) = state.startLogin(request, from: machine.machineKey, remoteAddress: nil, now: now)
        #expect(login.id == again.id && login.id.count == 32)
        let followup = machine.registration(followup: "https://elsewhere.test/login/\(login.id)")
        #expect(state.decide(followup, from: machine.machineKey, now: now) == .awaitLogin(login.id))
        var theft = stranger.registration(followup: followup.followup)
        #expect(state.decide(theft, from: stranger.machineKey, now: now) == .startLogin)
        theft.nodeKey = machine.nodeKey
        #expect(state.decide(theft, from: stranger.machineKey, now: now) == .startLogin)
        for text in ["x", "/", "http://x/login/unknown"] {
            let request = machine.registration(followup: text)
            #expect(state.decide(request, from: machine.machineKey, now: now) == .startLogin)
        }
        let late = now.adding(seconds: 900)
        #expect(state.decide(followup, from: machine.machineKey, now: late) == .startLogin)
    }

    @Test mutating func `approval lets the machine in under its name, and only once`() throws {
        let (login, _) = state.startLogin(
            machine.registration(),
            from: machine.machineKey,
            remoteAddress: nil,
            now: now
        )
        let enrolment = try state.approveLogin(login.id, now: now)
        #expect(enrolment?.isNew == true && enrolment?.node.givenName == "web")
        #expect(throws: CoordinationError.loginNotFound) { try state.approveLogin(login.id, now: now) }
        let (other, _) = state.startLogin(
            stranger.registration(),
            from: stranger.machineKey,
            remoteAddress: nil,
            now: now
        )
        let isRejected = state.rejectLogin(other.id, now: now)
        #expect(isRejected)
        #expect(throws: CoordinationError.loginNotFound) { try state.approveLogin(other.id, now: now) }
    }

    @Test mutating func `no more than a thousand logins wait`() {
        var first: String?
        for number in 0..<1001 {
            let machine = TestMachine("m\(number)")
            let (login, evicted) = state.startLogin(
                machine.registration(),
                from: machine.machineKey,
                remoteAddress: nil,
                now: now.adding(seconds: number == 0 ? 0 : 1)
            )
            first = first ?? login.id
            #expect(evicted == (number == 1000 ? first : nil))
        }
    }
}

import Logging
import NetTypes
package import Tailcfg
package import WarrenCrypto

/// How a register request is answered.
package enum RegisterAnswer: Sendable {
    /// With this, at once.
    case respond(RegisterResponse)
    /// When the login has an outcome: wait for it, then ask `register` again.
    case wait(LoginWaiter)
    /// With status 429: too many, for that many seconds.
    case tooMany(retryAfterSeconds: Int)
}

/// A follow-up that waits.
package struct LoginWaiter: Sendable {
    /// The login.
    package let loginID: String
    /// The one outcome; ends without any when `cancel` is called.
    package let outcome: AsyncStream<LoginOutcome>
    /// Ends the waiting, for when the client is gone.
    package let cancel: @Sendable () -> Void
    let number: UInt64
}

extension NodeRegistry {
    /// Answers a register request of the machine behind a Noise session.
    package func register(
        _ request: RegisterRequest,
        from machineKey: MachinePublicKey,
        remoteAddress: String?
    ) async throws -> RegisterAnswer {
        let time = now()
        let decision = state.decide(request, from: machineKey, now: time)
        if Self.isThrottled(decision), let seconds = throttle(machineKey, remoteAddress, now: time) {
            return .tooMany(retryAfterSeconds: seconds)
        }
        switch decision {
        case .refuse(let reason):
            logger.info("registration refused", metadata: ["machine": "\(machineKey.short)", "reason": "\(reason)"])
            return .respond(.refusal(reason))
        case .logOut(let id):
            if let id { try await logOut(id, now: time) }
            return .respond(expiredAnswer(id))
        case .limitExpiry(let id, let expiry):
            _ = state.expire(id, at: expiry)
            streamsChanged(id, [.expiry, .own])
            try await commit()
            return .respond(successAnswer(id))
        case .known(let id):
            takeHostinfo(request, of: id)
            try await commit()
            return .respond(successAnswer(id))
        case .keyExpired:
            return .respond(expiredAnswer(state.node(withKey: request.nodeKey)?.id))
        case .enrol(let authKeyID):
            let enrolment = try state.enrol(request, from: machineKey, authKeyID: authKeyID, now: time)
            try await admit(enrolment)
            return .respond(successAnswer(enrolment.node.id))
        case .awaitLogin(let loginID):
            if let hostinfo = request.hostinfo { state.logins[loginID]?.request.hostinfo = hostinfo.bounded }
            if case .rejected(let reason) = state.logins[loginID]?.outcome { return .respond(.refusal(reason)) }
            return .wait(makeWaiter(for: loginID))
        case .startLogin:
            let (login, evicted) = state.startLogin(request, from: machineKey, remoteAddress: remoteAddress, now: time)
            if let evicted { resolveWaiters(of: evicted, .expired) }
            logger.info("login wanted", metadata: ["machine": "\(machineKey.short)", "host": "\(publicURL())"])
            return .respond(.login(url: loginURL(login.id)))
        }
    }

    /// Stops waiting and answers a follow-up by what became of its login.
    package func finish(
        _ waiter: LoginWaiter,
        _ outcome: LoginOutcome?,
        request: RegisterRequest,
        from machineKey: MachinePublicKey,
        remoteAddress: String?
    ) async throws -> RegisterAnswer? {
        waiters[waiter.loginID]?[waiter.number] = nil
        waiterSince[waiter.number] = nil
        switch outcome {
        case nil: return nil
        case .rejected(let reason): return .respond(.refusal(reason))
        case .stillPending: return .respond(.login(url: loginURL(waiter.loginID)))
        case .approved, .expired:
            return try await register(request, from: machineKey, remoteAddress: remoteAddress)
        }
    }

    /// The page behind a login.
    package func loginURL(_ id: String) -> String { "\(publicURL())/login/\(id)" }

    private static func isThrottled(_ decision: RegisterDecision) -> Bool {
        switch decision {
        // A restart, a lost answer and a logout must always go through.
        case .known, .logOut, .limitExpiry, .awaitLogin: false
        case .refuse, .keyExpired, .enrol, .startLogin: true
        }
    }

    /// The seconds to wait when the machine, or the address it calls from, registers too often; this host's own may.
    private func throttle(_ machineKey: MachinePublicKey, _ remoteAddress: String?, now: ControlTime) -> Int? {
        let ofMachine = throttles[machineKey, default: .ofMachine(now: now)].take(now: now)
        guard let address = remoteAddress.flatMap({ IPAddress($0) })?.limitKey, !address.isLoopback else {
            return ofMachine
        }
        let ofAddress = addressThrottles[address, default: .ofAddress(now: now)].take(now: now)
        return ofMachine ?? ofAddress
    }

    private func takeHostinfo(_ request: RegisterRequest, of id: NodeID) {
        guard let node = state.nodes[id] else { return }
        var update = MapRequest(
            version: request.version,
            nodeKey: node.nodeKey,
            discoKey: .zero,
            hostinfo: request.hostinfo
        )
        update.omitPeers = true
        announce(state.apply(update, to: id, now: now()), of: id)
    }

    /// Makes a new or renewed node durable, and then known.
    func admit(_ enrolment: Enrolment) async throws {
        let node = enrolment.node
        if node.isEphemeral, !onlineNodes.contains(node.id) {
            presences[node.id, default: Presence()].removeAt = now().adding(
                seconds: state.rules.ephemeralInactivitySeconds
            )
        }
        try await commit()
        if let retired = enrolment.retiredKey {
            endStreams(of: node.id, withKey: retired, farewell: [])
            evictions[retired] = now().adding(seconds: CoordinationDefaults.evictionDelaySeconds)
            admittedKeys.remove(retired)
        }
        admitKey(of: node)
        // A node that was never seen is announced with its first state update, when it can be reached.
        if node.isVisible { streamsChanged(node.id, [.whole, .own, .rules]) }
        if !node.approvedRoutes.isEmpty { settleRoutes() }
        logger.info(
            "node registered",
            metadata: ["node": "\(node.id)", "name": "\(node.givenName)", "new": "\(enrolment.isNew)"]
        )
    }

    private func logOut(_ id: NodeID, now time: ControlTime) async throws {
        guard let node = state.nodes[id] else { return }
        if node.isEphemeral {
            try await remove(id)
            return
        }
        _ = state.expire(id, at: time)
        retire(node.nodeKey)
        streamsChanged(id, [.whole, .own])
        if !node.primaryRoutes.isEmpty { settleRoutes() }
        try await commit()
        logger.info("node logged out", metadata: ["node": "\(id)"])
    }

    /// Lets a key use the relay, if its node may take part.
    func admitKey(of node: NodeRecord) {
        guard node.isApproved, !node.isExpired(at: now()) else { return }
        evictions[node.nodeKey] = nil
        admittedKeys.insert(node.nodeKey)
    }

    /// Takes a key out of the relay, after the time a farewell needs.
    func retire(_ key: NodePublicKey) {
        admittedKeys.remove(key)
        evictions[key] = now().adding(seconds: CoordinationDefaults.evictionDelaySeconds)
    }

    private func makeWaiter(for loginID: String) -> LoginWaiter {
        let number = takeNumber()
        let (stream, continuation) = AsyncStream.makeStream(of: LoginOutcome.self, bufferingPolicy: .bufferingOldest(1))
        waiters[loginID, default: [:]][number] = continuation
        waiterSince[number] = now()
        return LoginWaiter(loginID: loginID, outcome: stream, cancel: { continuation.finish() }, number: number)
    }

    /// Tells everyone who waits for a login.
    func resolveWaiters(of loginID: String, _ outcome: LoginOutcome) {
        guard let waiting = waiters.removeValue(forKey: loginID) else { return }
        for (number, continuation) in waiting {
            waiterSince[number] = nil
            continuation.yield(outcome)
            continuation.finish()
        }
    }

    private func successAnswer(_ id: NodeID) -> RegisterResponse {
        answer(for: id, isExpired: false)
    }

    private func expiredAnswer(_ id: NodeID?) -> RegisterResponse {
        answer(for: id, isExpired: true)
    }

    private func answer(for id: NodeID?, isExpired: Bool) -> RegisterResponse {
        var response = RegisterResponse()
        let user = id.flatMap { state.nodes[$0]?.user } ?? CoordinationConstants.soleUser
        let created = id.flatMap { state.nodes[$0]?.created } ?? now()
        let profile = state.rules.profile(of: user)
        response.user = TailnetUser(id: user, displayName: profile.displayName, created: created)
        response.login = TailnetLogin(
            id: user,
            provider: "local",
            loginName: profile.loginName,
            displayName: profile.displayName
        )
        response.nodeKeyExpired = isExpired
        response.machineAuthorized = !isExpired && (id.flatMap { state.nodes[$0]?.isApproved } ?? true)
        return response
    }
}

extension RegisterResponse {
    /// A refusal that the user reads.
    static func refusal(_ reason: String) -> RegisterResponse {
        var response = RegisterResponse()
        response.error = reason
        return response
    }

    /// A page to visit.
    static func login(url: String) -> RegisterResponse {
        var response = RegisterResponse()
        response.authURL = url
        return response
    }
}

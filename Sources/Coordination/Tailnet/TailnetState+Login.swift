package import Tailcfg
package import WarrenCrypto

extension TailnetState {
    /// The login that a follow-up names, if it was made for this machine and key and has not ended.
    func awaitedLogin(
        _ request: RegisterRequest,
        from machineKey: MachinePublicKey,
        now: ControlTime
    ) -> String? {
        // Behind a proxy the host differs, so only the last segment counts.
        guard let segment = request.followup.split(separator: "/").last else { return nil }
        let id = String(segment.prefix { $0 != "?" && $0 != "#" })
        guard let login = logins[id], login.machineKey == machineKey, login.nodeKey == request.nodeKey,
            login.expires > now
        else { return nil }
        if case .rejected = login.outcome { return id }
        return login.outcome == nil ? id : nil
    }

    /// The login of a machine and key, made if there is none; the oldest gives way when there are too many.
    package mutating func startLogin(
        _ request: RegisterRequest,
        from machineKey: MachinePublicKey,
        remoteAddress: String?,
        now: ControlTime
    ) -> (login: PendingLogin, evicted: String?) {
        let existing = logins.values.first {
            $0.machineKey == machineKey && $0.nodeKey == request.nodeKey && $0.outcome == nil && $0.expires > now
        }
        if let existing { return (existing, nil) }
        // What waits in memory is cut to size, and the one who asks is nobody yet.
        var request = request
        request.hostinfo = request.hostinfo?.bounded
        request.authKey = nil
        request.followup = ""
        var evicted: String?
        if logins.count >= CoordinationDefaults.maximumPendingLogins {
            evicted = logins.values.min { $0.created < $1.created }?.id
            if let evicted { logins[evicted] = nil }
        }
        let login = PendingLogin(
            id: AuthKeyText.hex(RandomBytes.make(count: 16)),
            formToken: AuthKeyText.hex(RandomBytes.make(count: 16)),
            machineKey: machineKey,
            nodeKey: request.nodeKey,
            request: request,
            remoteAddress: remoteAddress,
            created: now
        )
        logins[login.id] = login
        return (login, evicted)
    }

    /// Logins that a person may still decide about, oldest first.
    package func openLogins(now: ControlTime) -> [PendingLogin] {
        logins.values.filter { $0.outcome == nil && $0.expires > now }.sorted { $0.created < $1.created }
    }

    /// Lets the node of a login in; the request's tags must be permitted to a person's node.
    ///
    /// - Throws: `loginNotFound`, `addressesExhausted`.
    package mutating func approveLogin(_ id: String, now: ControlTime) throws(CoordinationError) -> Enrolment? {
        guard var login = logins[id], login.outcome == nil, login.expires > now else { throw .loginNotFound }
        if let reason = refusal(of: login.request.hostinfo?.requestTags ?? [], keyTags: []) {
            login.outcome = .rejected(reason)
            logins[id] = login
            return nil
        }
        let enrolment = try enrol(
            login.request,
            from: login.machineKey,
            tags: login.request.hostinfo?.requestTags ?? [],
            isEphemeral: login.request.ephemeral,
            // Whoever let it in has looked at it.
            isApproved: true,
            authKeyID: nil,
            now: now
        )
        login.outcome = .approved
        logins[id] = login
        return enrolment
    }

    /// Refuses a login.
    package mutating func rejectLogin(_ id: String, now: ControlTime) -> Bool {
        guard var login = logins[id], login.outcome == nil, login.expires > now else { return false }
        login.outcome = .rejected("login rejected")
        logins[id] = login
        return true
    }

    /// Forgets logins whose time is over and returns those that still waited.
    mutating func dropExpiredLogins(now: ControlTime) -> [String] {
        let over = logins.values.filter { $0.expires <= now }
        for login in over { logins[login.id] = nil }
        return over.filter { $0.outcome == nil }.map(\.id)
    }
}

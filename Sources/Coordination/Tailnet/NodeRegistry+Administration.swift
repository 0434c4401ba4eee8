import Logging
package import Tailcfg

extension NodeRegistry {
    /// Makes an auth key; its text is returned this once.
    package func createAuthKey(
        isReusable: Bool,
        isEphemeral: Bool,
        tags: [String],
        isPreapproved: Bool = false,
        lifetimeSeconds: Int64
    ) async throws -> (record: AuthKeyRecord, text: String) {
        let made = state.createAuthKey(
            isReusable: isReusable,
            isEphemeral: isEphemeral,
            tags: tags,
            isPreapproved: isPreapproved,
            lifetimeSeconds: lifetimeSeconds,
            now: now()
        )
        try await commit()
        logger.info("auth key made", metadata: ["auth-key": "\(made.record.id)"])
        return made
    }

    /// The auth keys, newest first.
    package func authKeys() -> [AuthKeyRecord] {
        state.authKeys.values.sorted { ($0.created, $0.id) > ($1.created, $1.id) }
    }

    /// Takes an auth key back.
    ///
    /// - Throws: `CoordinationError.authKeyNotFound`, or what the store reports.
    package func revokeAuthKey(_ id: String) async throws {
        guard state.revokeAuthKey(id) else { throw CoordinationError.authKeyNotFound }
        try await commit()
    }

    /// The logins that wait for a person, oldest first.
    package func openLogins() -> [PendingLogin] { state.openLogins(now: now()) }

    /// A login that still waits.
    package func openLogin(_ id: String) -> PendingLogin? {
        guard let login = state.logins[id], login.outcome == nil, login.expires > now() else { return nil }
        return login
    }

    /// Lets the node of a login in.
    ///
    /// - Throws: `CoordinationError.loginNotFound`, or what the store reports.
    package func approveLogin(_ id: String) async throws {
        if let enrolment = try state.approveLogin(id, now: now()) {
            try await admit(enrolment)
            resolveWaiters(of: id, .approved)
        } else if case .rejected(let reason) = state.logins[id]?.outcome {
            resolveWaiters(of: id, .rejected(reason))
        }
    }

    /// Refuses a login.
    ///
    /// - Throws: `CoordinationError.loginNotFound`.
    package func rejectLogin(_ id: String) throws {
        guard state.rejectLogin(id, now: now()) else { throw CoordinationError.loginNotFound }
        resolveWaiters(of: id, .rejected("login rejected"))
    }

    /// Replaces the relays and tells everyone.
    package func setDERPMap(_ map: DERPMap) {
        guard map != derpMap else { return }
        derpMap = map
        for stream in streams.values {
            stream.delta.markDERPMap()
            stir(stream)
        }
    }

    /// Ends every stream, so that clients come back at once when the server does.
    package func endAllStreams() {
        for stream in streams.values where stream.farewell == nil {
            stream.farewell = []
            stream.wakeup.yield()
        }
        for login in Array(waiters.keys) { resolveWaiters(of: login, .stillPending) }
    }
}

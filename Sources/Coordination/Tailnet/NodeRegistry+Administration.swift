import Logging
package import Tailcfg
import WarrenCrypto

extension NodeRegistry {
    /// Makes an auth key; its text is returned this once.
    package func createAuthKey(
        isReusable: Bool,
        isEphemeral: Bool,
        tags: [String],
        lifetimeSeconds: Int64
    ) async throws -> (record: AuthKeyRecord, text: String) {
        let made = state.createAuthKey(
            isReusable: isReusable,
            isEphemeral: isEphemeral,
            tags: tags,
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

    /// The nodes in the order of their numbers, and whether each is online.
    package func nodes() -> [(node: NodeRecord, dnsName: String, isOnline: Bool)] {
        state.nodes.values.sorted { $0.id < $1.id }.map {
            ($0, state.dnsName(of: $0.givenName), onlineNodes.contains($0.id))
        }
    }

    /// Removes a node: it is told that its key has ended, then its stream ends and its peers forget it.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`, or what the store reports.
    package func removeNode(_ id: NodeID) async throws {
        guard state.nodes[id] != nil else { throw CoordinationError.nodeNotFound }
        try await remove(id)
    }

    func remove(_ id: NodeID) async throws {
        guard let node = state.nodes[id] else { return }
        let time = now()
        // Without the farewell a stock client would keep its last map and retry the poll for ever.
        let farewell = MapBuilder.farewell(builder().selfNode(node), now: time)
        state.removeNode(id, now: time)
        presences[id] = nil
        onlineNodes.remove(id)
        retire(node.nodeKey)
        endStreams(of: id, withKey: nil, farewell: [farewell])
        streamsRemoved(id)
        try await commit()
        logger.info("node removed", metadata: ["node": "\(id)", "name": "\(node.givenName)"])
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

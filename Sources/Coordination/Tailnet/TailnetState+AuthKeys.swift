package import Tailcfg
package import WarrenCrypto

extension TailnetState {
    /// Makes an auth key; the text is not kept.
    package mutating func createAuthKey(
        isReusable: Bool,
        isEphemeral: Bool,
        tags: [String],
        isPreapproved: Bool = false,
        lifetimeSeconds: Int64,
        now: ControlTime
    ) -> (record: AuthKeyRecord, text: String) {
        let (id, text) = AuthKeyText.make()
        let record = AuthKeyRecord(
            id: id,
            hash: TokenHash(of: text).bytes,
            isReusable: isReusable,
            isEphemeral: isEphemeral,
            tags: tags,
            created: now,
            expires: now.adding(seconds: lifetimeSeconds),
            isPreapproved: isPreapproved
        )
        authKeys[id] = record
        changes.authKeys[id] = record
        return (record, text)
    }

    /// Takes an auth key back; nodes that joined with it stay.
    package mutating func revokeAuthKey(_ id: String) -> Bool {
        guard var record = authKeys[id] else { return false }
        record.isRevoked = true
        authKeys[id] = record
        changes.authKeys[id] = record
        return true
    }

    /// Whether a key lets a machine in: found by its id, compared in constant time.
    package func verdict(on text: String, from machineKey: MachinePublicKey, now: ControlTime) -> AuthKeyVerdict {
        guard let id = AuthKeyText.id(in: text), let record = authKeys[id],
            let hash = TokenHash(bytes: record.hash), hash.matches(text)
        else { return .refused("invalid auth key") }
        if record.isRevoked { return .refused("auth key revoked") }
        if !record.isReusable, let use = record.use {
            // The answer to the first use may have been lost, and then the machine comes again with a new node key.
            guard use.machineKey == machineKey, let node = nodes[use.node], !node.isExpired(at: now),
                now < use.time.adding(seconds: CoordinationDefaults.repetitionSeconds)
            else { return .refused("auth key already used") }
            return .accepted(id: id)
        }
        return record.expires <= now ? .refused("auth key expired") : .accepted(id: id)
    }

    /// Notes a use of a key; the repetition of a single use is none.
    mutating func markUsed(_ id: String, by node: NodeRecord, now: ControlTime) {
        guard var record = authKeys[id], record.isReusable || record.use == nil else { return }
        record.useCount += 1
        if record.use == nil {
            record.use = AuthKeyRecord.Use(node: node.id, machineKey: node.machineKey, time: now)
        }
        authKeys[id] = record
        changes.authKeys[id] = record
    }
}

import NetTypes
import Tailcfg
import WarrenCrypto
package import WarrenModel

extension CoordinationServer {
    /// Makes an auth key; only this answer holds its text.
    package func createAuthKey(_ request: CreateAuthKeyRequest) async throws -> AuthKeyAnswer {
        let made = try await registry.createAuthKey(
            isReusable: request.reusable,
            isEphemeral: request.ephemeral,
            tags: request.tags,
            lifetimeSeconds: request.expiry.components.seconds
        )
        return AuthKeyAnswer(made.record, text: made.text)
    }

    /// The auth keys, newest first, without their texts.
    package func authKeys() async -> [AuthKeyAnswer] { await registry.authKeys().map { AuthKeyAnswer($0, text: nil) } }

    /// Takes an auth key back.
    ///
    /// - Throws: `CoordinationError.authKeyNotFound`.
    package func revokeAuthKey(_ id: String) async throws { try await registry.revokeAuthKey(id) }

    /// The nodes, oldest first.
    package func nodes() async -> [TailnetNodeAnswer] {
        let rules = await registry.rules
        return await registry.nodes().map { node, dnsName, isOnline in
            TailnetNodeAnswer(
                id: node.id.description,
                name: node.givenName,
                dnsName: String(dnsName.dropLast()),
                addresses: [node.ipv4.description, node.ipv6.description],
                user: rules.profile(of: node.user).loginName,
                tags: node.tags,
                ephemeral: node.isEphemeral,
                online: isOnline,
                createdAt: node.created.modelTimestamp,
                lastSeen: isOnline ? nil : node.lastSeen.modelTimestamp,
                keyExpiry: node.keyExpiry.isZero ? nil : node.keyExpiry.modelTimestamp
            )
        }
    }

    /// Removes a node.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`.
    package func deleteNode(_ id: String) async throws {
        guard let number = Int64(id) else { throw CoordinationError.nodeNotFound }
        try await registry.removeNode(NodeID(rawValue: number))
    }

    /// The logins that wait for a person, oldest first.
    package func logins() async -> [TailnetLoginAnswer] {
        await registry.openLogins().map { login in
            TailnetLoginAnswer(
                id: login.id,
                hostname: login.request.hostinfo?.hostname ?? "",
                os: login.request.hostinfo?.os ?? "",
                nodeKey: login.nodeKey.short,
                remoteAddress: login.remoteAddress,
                createdAt: login.created.modelTimestamp,
                expiresAt: login.expires.modelTimestamp
            )
        }
    }

    /// Lets the node of a login in.
    ///
    /// - Throws: `CoordinationError.loginNotFound`.
    package func approveLogin(_ id: String) async throws { try await registry.approveLogin(id) }

    /// Refuses a login.
    ///
    /// - Throws: `CoordinationError.loginNotFound`.
    package func denyLogin(_ id: String) async throws { try await registry.rejectLogin(id) }
}

extension AuthKeyAnswer {
    /// The answer about a key; `text` only when it was just made.
    fileprivate init(_ record: AuthKeyRecord, text: String?) {
        self.init(
            id: record.id,
            key: text,
            reusable: record.isReusable,
            ephemeral: record.isEphemeral,
            tags: record.tags,
            createdAt: record.created.modelTimestamp,
            expiresAt: record.expires.modelTimestamp,
            used: record.use != nil,
            revoked: record.isRevoked
        )
    }
}

extension ControlTime {
    /// The same moment in the API's words.
    fileprivate var modelTimestamp: Timestamp {
        Timestamp(millisecondsSinceEpoch: seconds * 1000 + Int64(nanoseconds / 1_000_000))
    }
}

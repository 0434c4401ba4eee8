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
            isPreapproved: request.preapproved,
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
        return await registry.nodes().map { TailnetNodeAnswer($0, rules) }
    }

    /// A node by its number or its name.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`.
    package func node(_ reference: String) async throws -> TailnetNodeAnswer {
        TailnetNodeAnswer(try await registry.node(named: reference), await registry.rules)
    }

    /// Changes what an administrator decides about a node.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`, `nodeNameTaken`, `ValidationFailure`.
    package func patchNode(_ reference: String, _ patch: PatchTailnetNodeRequest) async throws -> TailnetNodeAnswer {
        TailnetNodeAnswer(try await registry.patchNode(reference, patch), await registry.rules)
    }

    /// Lets a node take part.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`.
    package func approveNode(_ reference: String) async throws -> TailnetNodeAnswer {
        TailnetNodeAnswer(try await registry.approveNode(reference), await registry.rules)
    }

    /// Ends a node's key now.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`.
    package func expireNode(_ reference: String) async throws -> TailnetNodeAnswer {
        TailnetNodeAnswer(try await registry.expireNode(reference), await registry.rules)
    }

    /// Sets which routes a node may serve.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`.
    package func approveRoutes(_ reference: String, _ request: ApproveRoutesRequest) async throws -> TailnetNodeAnswer {
        TailnetNodeAnswer(try await registry.approveRoutes(request.approved, of: reference), await registry.rules)
    }

    /// Removes a node.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`.
    package func deleteNode(_ reference: String) async throws { try await registry.removeNode(reference) }

    /// The policy, and the number of its version.
    package func policy() async -> (document: JSONTree, revision: Int64) { await registry.policy() }

    /// Finds every fault in a policy, and changes nothing.
    ///
    /// - Throws: `ValidationFailure`.
    package func checkPolicy(_ document: JSONTree) async throws { _ = try await registry.checkPolicy(document) }

    /// Puts a policy in force, and gives the number of its version.
    ///
    /// - Throws: `ValidationFailure`, `CoordinationError.policyChanged`.
    package func setPolicy(_ document: JSONTree, replacing revision: Int64?) async throws -> Int64 {
        try await registry.setPolicy(document, replacing: revision)
    }

    /// What clients are told about DNS.
    package func dns() async -> TailnetDNS { await registry.dns() }

    /// Sets what clients are told about DNS; nil = what the configuration says.
    package func setDNS(_ dns: TailnetDNS?) async throws -> TailnetDNS {
        try await registry.setDNS(dns)
        return await registry.dns()
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
            preapproved: record.isPreapproved,
            useCount: record.useCount,
            usedAt: record.use?.time.modelTimestamp,
            usedBy: record.use?.node.description,
            revoked: record.isRevoked
        )
    }
}

extension TailnetNodeAnswer {
    /// The answer about a node.
    fileprivate init(_ sighting: NodeRegistry.Sighting, _ rules: TailnetRules) {
        let node = sighting.node
        self.init(
            id: node.id.description,
            name: node.givenName,
            dnsName: String(sighting.dnsName.dropLast()),
            addresses: [node.ipv4.description, node.ipv6.description],
            user: rules.profile(of: node.user).loginName,
            tags: node.tags,
            ephemeral: node.isEphemeral,
            online: sighting.isOnline,
            approved: node.isApproved,
            expired: sighting.isExpired,
            exitNode: node.isExitNode,
            routes: TailnetRoutes(
                advertised: node.hostinfo.routableIPs.map(\.description),
                approved: node.approvedRoutes.map(\.description),
                primary: node.primaryRoutes.map(\.description)
            ),
            hostname: node.hostinfo.hostname,
            os: node.hostinfo.os,
            createdAt: node.created.modelTimestamp,
            lastSeen: sighting.isOnline ? nil : node.lastSeen.modelTimestamp,
            keyExpiry: node.keyExpiry.isZero ? nil : node.keyExpiry.modelTimestamp
        )
    }
}

extension ControlTime {
    /// The same moment in the API's words.
    fileprivate var modelTimestamp: Timestamp {
        Timestamp(millisecondsSinceEpoch: seconds * 1000 + Int64(nanoseconds / 1_000_000))
    }
}

import Logging
import Tailcfg
package import WarrenModel

extension NodeRegistry {
    /// The policy, and how often it was set.
    package func policy() -> (document: JSONTree, revision: Int64) { (state.policy.document, state.policyRevision) }

    /// Reads a policy for this tailnet, or throws every fault in it.
    package func checkPolicy(_ document: JSONTree) throws(ValidationFailure) -> GrantPolicy {
        try GrantPolicy(document, loginName: state.rules.loginName)
    }

    /// Puts a policy in force; every connected node hears what that changes for it.
    ///
    /// - Parameters:
    ///   - document: The policy.
    ///   - revision: The revision that it is to replace; nil = any.
    /// - Returns: The revision that is in force now.
    /// - Throws: `ValidationFailure`, `CoordinationError.policyChanged`, or what the store reports; then the old one holds.
    package func setPolicy(_ document: JSONTree, replacing revision: Int64?) async throws -> Int64 {
        let policy = try checkPolicy(document)
        if let revision, revision != state.policyRevision { throw CoordinationError.policyChanged }
        let former = state.policy
        try state.setPolicy(policy)
        let made = state.policyRevision
        do {
            try await commit()
        } catch {
            if state.policyRevision == made { try state.setPolicy(former) }
            throw error
        }
        for id in state.nodes.keys { state.approveByPolicy(id) }
        markEverywhere { $0.markRules() }
        settleRoutes()
        try await commit()
        logger.info("policy set", metadata: ["revision": "\(made)", "grants": "\(policy.grants.count)"])
        return made
    }

    /// What clients are told about DNS.
    package func dns() -> TailnetDNS { state.dns }

    /// Sets what clients are told about DNS; nil = what the configuration says.
    ///
    /// - Throws: What the store reports; then the old settings hold.
    package func setDNS(_ dns: TailnetDNS?) async throws {
        let former = state.dnsSetting
        try state.setDNS(dns)
        do {
            try await commit()
        } catch {
            if state.dnsSetting == dns { try state.setDNS(former) }
            throw error
        }
        markEverywhere { $0.markDNS() }
        logger.info("DNS settings changed")
    }

    private func markEverywhere(_ mark: (inout PendingDelta) -> Void) {
        for stream in streams.values {
            mark(&stream.delta)
            stir(stream)
        }
    }
}

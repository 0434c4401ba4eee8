import NetTypes
import Tailcfg
package import WarrenModel

extension TailnetState {
    private static let policyDocument = "policy"
    private static let dnsDocument = "dns"
    private static let revisionCounter = "policy-revision"

    /// What clients are told about DNS.
    package var dns: TailnetDNS { dnsSetting ?? rules.dns }

    /// Puts a policy in force.
    ///
    /// - Throws: What the encoder reports.
    mutating func setPolicy(_ policy: GrantPolicy) throws {
        changes.documents[Self.policyDocument] = try ModelJSON.text(policy.document)
        self.policy = policy
        policyRevision += 1
        policyEpoch += 1
        changes.counters[Self.revisionCounter] = policyRevision
    }

    /// Sets what clients are told about DNS; nil = what the rules say.
    ///
    /// - Throws: What the encoder reports.
    mutating func setDNS(_ dns: TailnetDNS?) throws {
        changes.documents[Self.dnsDocument] = .some(try dns.map { try ModelJSON.text($0) })
        dnsSetting = dns
    }

    /// The policy that was stored; everyone reaches everyone before there is one.
    static func storedPolicy(
        _ snapshot: CoordinationSnapshot,
        _ rules: TailnetRules
    ) throws(CoordinationError) -> (GrantPolicy, Int64) {
        let revision = snapshot.counters[revisionCounter] ?? 1
        guard let text = snapshot.documents[policyDocument] else { return (.allowAll, revision) }
        do {
            let document = try JSONTree(parsing: Array(text.utf8))
            // The login may have been another when the policy was set.
            let policy = try GrantPolicy(document, loginName: rules.loginName, acceptsStrangers: true)
            return (policy, revision)
        } catch {
            throw .damagedRecord(policyDocument)
        }
    }

    /// What was stored about DNS.
    static func storedDNS(_ snapshot: CoordinationSnapshot) throws(CoordinationError) -> TailnetDNS? {
        guard let text = snapshot.documents[dnsDocument] else { return nil }
        do {
            return try ModelJSON.decode(TailnetDNS.self, from: text)
        } catch {
            throw .damagedRecord(dnsDocument)
        }
    }
}

extension NodeRecord {
    /// What decides about who sees the node, and whom it sees.
    struct Standing: Hashable {
        let tags: [String]
        let isApproved: Bool
        let primaryRoutes: [IPPrefix]
        let isExitNode: Bool
    }

    /// What decides about who sees the node, and whom it sees.
    var standing: Standing {
        Standing(tags: tags, isApproved: isApproved, primaryRoutes: primaryRoutes, isExitNode: isExitNode)
    }
}

import NetTypes
package import Tailcfg

/// Who may reach what: everyone reaches everyone, by every protocol of a filter's default set.
package struct GrantPolicy: Hashable, Sendable {
    /// The policy that allows everything inside the tailnet.
    package static let allowAll = GrantPolicy()

    /// The filter of one node; sources are the tailnet's ranges, so that nothing from outside is meant.
    package func filterRules(for node: NodeRecord) -> [FilterRule] {
        [
            FilterRule(
                sourceIPs: [TailnetAddresses.ipv4Range.description, TailnetAddresses.ipv6Range.description],
                destinations: [FilterDestination(ip: "*")]
            )
        ]
    }

    /// Whether a person's node may carry a tag that no key gave it: nobody owns tags in this policy.
    package func permitsTag(_ tag: String, for user: UserID) -> Bool { false }
}

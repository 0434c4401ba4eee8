import NetTypes
package import Tailcfg
package import WarrenModel

/// Who may reach what, in Tailscale's vocabulary of grants; what no grant allows is refused.
package struct GrantPolicy: Hashable, Sendable {
    /// The text it was read from.
    package let document: JSONTree
    /// What is allowed; a classic ACL is a grant without applications.
    package let grants: [Grant]
    /// Who may give a tag to a node.
    let tagOwners: [String: [PolicySelector]]
    /// Whose routes need no approval, by the prefix that they must lie in.
    let routeApprovers: [RouteApprover]
    /// Who becomes an exit node without approval.
    let exitNodeApprovers: [PolicySelector]

    /// One thing that is allowed.
    package struct Grant: Hashable, Sendable {
        /// Who.
        package var sources: [PolicySelector]
        /// Where to.
        package var destinations: [PolicySelector]
        /// By which protocols and ports; none = the grant opens no way, it only gives capabilities.
        package var ports: [PortClause]
        /// Capabilities of applications.
        package var capabilities: CapabilityMap = [:]
    }

    /// A prefix, and whose routes inside it need no approval.
    struct RouteApprover: Hashable, Sendable {
        let prefix: IPPrefix
        let selectors: [PolicySelector]
    }

    /// The policy of a new tailnet: everyone reaches everyone.
    package static let allowAll = GrantPolicy(
        document: ["grants": [["src": ["*"], "dst": ["*"], "ip": ["*"]]]],
        grants: [Grant(sources: [.anyone], destinations: [.anyone], ports: [.everything])],
        tagOwners: [:],
        routeApprovers: [],
        exitNodeApprovers: []
    )

    init(
        document: JSONTree,
        grants: [Grant],
        tagOwners: [String: [PolicySelector]],
        routeApprovers: [RouteApprover],
        exitNodeApprovers: [PolicySelector]
    ) {
        self.document = document
        self.grants = grants
        self.tagOwners = tagOwners
        self.routeApprovers = routeApprovers
        self.exitNodeApprovers = exitNodeApprovers
    }

    /// Whether it allows everything and says nothing more, so that no pair of nodes needs a look.
    var isOpen: Bool { grants == Self.allowAll.grants }

    /// Whether the user, or a node that has some tags already, may take a tag.
    func permitsTag(_ tag: String, toHolderOf tags: [String]) -> Bool {
        (tagOwners[tag] ?? []).contains { owner in
            switch owner {
            case .member, .anyone: tags.isEmpty
            case .tag(let held): tags.contains(held)
            case .tagged, .prefix, .internet, .ownNodes, .nobody: false
            }
        }
    }

    /// Whether a node may serve a route without being approved for it.
    func approves(_ route: IPPrefix, of node: NodeRecord) -> Bool {
        if route.length == 0 { return exitNodeApprovers.contains { $0.names(node) } }
        return routeApprovers.contains { approver in
            approver.prefix.contains(route) && approver.selectors.contains { $0.names(node) }
        }
    }
}

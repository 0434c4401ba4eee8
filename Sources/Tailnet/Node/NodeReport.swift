package import WarrenModel

/// How a node is at one moment: a level, of which a reader needs only the newest.
package struct NodeReport: Hashable, Sendable {
    /// Grows with every change.
    package var version: Int64
    /// State, addresses, login URL and the rest of what a VM shows; `since` is when this node object saw it.
    package var status: NetworkStatus
    /// Grows when the node's view of its peers changes.
    package var netmapVersion: Int64
    /// The peers, without their counters.
    package var peers: [PeerStatus]
    /// How near the end of the node's key is, as far as its owner should be told.
    package var keyWarning: KeyWarning?

    /// Joins the parts.
    package init(
        version: Int64,
        status: NetworkStatus,
        netmapVersion: Int64,
        peers: [PeerStatus],
        keyWarning: KeyWarning? = nil
    ) {
        self.version = version
        self.status = status
        self.netmapVersion = netmapVersion
        self.peers = peers
        self.keyWarning = keyWarning
    }
}

/// Reasons that a node gives for its state, by the slugs of the API.
enum NodeReason {
    static func controlUnreachable(_ detail: String) -> StateReason {
        StateReason(
            code: "control-unreachable",
            message: "The control server cannot be reached: \(detail). Trying again."
        )
    }
    static func invalidControlURL(_ detail: String) -> StateReason {
        StateReason(code: "control-url-invalid", message: "The control URL cannot be used: \(detail).")
    }
    static func authKeyRejected(_ text: String) -> StateReason {
        StateReason(code: "auth-key-rejected", message: "The control server rejected the auth key: \(text).")
    }
    static func registrationRefused(_ text: String) -> StateReason {
        StateReason(code: "registration-refused", message: "The control server refused the node: \(text).")
    }
    static let keyExpired = StateReason(
        code: "key-expired",
        message: "The node's key has expired; the node must log in again."
    )
    static let keyUnacceptable = StateReason(
        code: "key-unacceptable",
        message: "The control server accepts no new key of this node (tailnet lock?)."
    )
    static let awaitingApproval = StateReason(
        code: "awaiting-approval",
        message: "An administrator of the tailnet must approve the machine."
    )
    static let removed = StateReason(
        code: "node-removed",
        message: "The control server no longer knows the node; it must log in again."
    )
    static let loggedOut = StateReason(
        code: "logged-out",
        message: "The node was logged out; it stays out until it is told to log in."
    )
    static func loggedOutUntold(_ detail: String) -> StateReason {
        StateReason(
            code: "logged-out",
            message: "The node was logged out and its key destroyed, but the control server was not told: \(detail)."
        )
    }
    static let noExitNode = StateReason(
        code: "exit-node-unavailable",
        message: "No exit node of the tailnet is online; the internet is blocked."
    )
    static func exitNodeNotFound(_ choice: ExitNodeChoice) -> StateReason {
        StateReason(
            code: "exit-node-unavailable",
            message: "The tailnet has no node \(choice); the internet is blocked."
        )
    }
    static func exitNodeNotOffered(_ name: String) -> StateReason {
        StateReason(
            code: "exit-node-unavailable",
            message: "\(name) is no exit node, or not an approved one; the internet is blocked."
        )
    }
    static func exitNodeOffline(_ name: String) -> StateReason {
        StateReason(
            code: "exit-node-unavailable",
            message: "The exit node \(name) cannot be reached; the internet is blocked."
        )
    }
    static let notStored = StateReason(
        code: "identity-not-stored",
        message: "The node's keys could not be stored; trying again."
    )
}

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

    /// Joins the parts.
    package init(version: Int64, status: NetworkStatus, netmapVersion: Int64, peers: [PeerStatus]) {
        self.version = version
        self.status = status
        self.netmapVersion = netmapVersion
        self.peers = peers
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
    static let notStored = StateReason(
        code: "identity-not-stored",
        message: "The node's keys could not be stored; trying again."
    )
}

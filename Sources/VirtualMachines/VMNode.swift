package import NIOCore
package import Store
package import Tailnet
package import WarrenModel

/// The tailnet side of one VM, as its driver sees it.
package protocol VMNode: Sendable {
    /// Takes part in the tailnet until the task is cancelled.
    func run() async
    /// The first report after `version`, as soon as there is one; a level, so that nothing is missed.
    func report(after version: Int64) async -> NodeReport
    /// Everything the API shows about the node.
    func detail() async -> NetworkDetail
    /// Takes other preferences at once.
    func update(preferences: NodePreferences) async
    /// Begins a fresh login, by this auth key or by a person.
    func logIn(authKey: SecretText?) async
    /// Gives the node's key up, and returns when that is done.
    func logOut() async
    /// Asks a peer for signs of life.
    func ping(_ request: NetworkPingRequest) async throws(TailnetNode.PingRefusal) -> NetworkPingAnswer
}

/// What a node is made from.
package struct VMNodeRequest: Sendable {
    /// The VM, for log lines.
    package let id: VMID
    /// What the user asked for.
    package let interface: NetworkInterfaceSpec
    /// The auth key that is still unused, if any.
    package let authKey: SecretText?
    /// The stored identity, or nil for a first start.
    package let identity: NodeIdentityRecord?
    /// QEMU's socket for the NIC.
    package let nicSocketPath: String
    /// The one loop that the node's packets stay on.
    package let eventLoop: any EventLoop
    /// Commits an identity before its keys are used; `true` wipes the auth key in the same transaction.
    package let commit: @Sendable (NodeIdentityRecord, Bool) async throws -> Void
}

/// Makes nodes, and takes the identities of deleted ones out of their tailnets.
package protocol VMNodeMaker: Sendable {
    /// A node that does not run yet.
    func node(for request: VMNodeRequest) -> any VMNode
    /// Tells the control server that an identity is given up for good.
    ///
    /// - Throws: when the server could not be told; it is worth trying again.
    func logout(_ identity: NodeIdentityRecord) async throws
}

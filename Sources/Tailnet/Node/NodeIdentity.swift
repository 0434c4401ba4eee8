package import WarrenCrypto

/// Who a node is: the keys by which its control server and its peers know it, and what it must say the same every time.
package struct NodeIdentity: Sendable {
    /// Identifies the installation to control; never changes.
    package var machineKey: MachinePrivateKey
    /// Identifies the node to control and to peers.
    package var nodeKey: NodePrivateKey
    /// The key that `nodeKey` replaced, while control may still know the node by it.
    package var oldNodeKey: NodePublicKey?
    /// Whether control has accepted `nodeKey`.
    package var isRegistered: Bool
    /// 64 hex digits, random and stable; stock servers expect one.
    package var backendLogID: String

    /// Joins the parts.
    package init(
        machineKey: MachinePrivateKey,
        nodeKey: NodePrivateKey,
        oldNodeKey: NodePublicKey? = nil,
        isRegistered: Bool,
        backendLogID: String
    ) {
        self.machineKey = machineKey
        self.nodeKey = nodeKey
        self.oldNodeKey = oldNodeKey
        self.isRegistered = isRegistered
        self.backendLogID = backendLogID
    }

    /// A new node that nobody knows yet.
    package static func fresh() -> NodeIdentity {
        let random = RandomBytes.make(count: 32)
        return NodeIdentity(
            machineKey: MachinePrivateKey(), nodeKey: NodePrivateKey(), isRegistered: false,
            backendLogID: random.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        )
    }
}

package import WarrenCrypto

/// Who a node is: the keys by which control and peers know it.
package struct NodeIdentity: Sendable {
    /// Identifies the installation to control.
    package var machineKey: MachinePrivateKey
    /// Identifies the node to control, relays and peers.
    package var nodeKey: NodePrivateKey
    /// The key before `nodeKey`, while control may still know the node by it.
    package var oldNodeKey: NodePublicKey?
    /// Whether control accepted `nodeKey`.
    package var isRegistered: Bool

    /// A new identity that nobody knows yet.
    package init() {
        self.init(machineKey: MachinePrivateKey(), nodeKey: NodePrivateKey())
    }

    /// Joins the parts.
    package init(
        machineKey: MachinePrivateKey,
        nodeKey: NodePrivateKey,
        oldNodeKey: NodePublicKey? = nil,
        isRegistered: Bool = false
    ) {
        self.machineKey = machineKey
        self.nodeKey = nodeKey
        self.oldNodeKey = oldNodeKey
        self.isRegistered = isRegistered
    }

    /// Replaces the node key by a new one; the old one is remembered only when control knew it.
    mutating func renewNodeKey() {
        if isRegistered { oldNodeKey = nodeKey.publicKey }
        nodeKey = NodePrivateKey()
        isRegistered = false
    }
}

package import WarrenCrypto
package import WarrenModel

/// Who a VM's node is: the keys by which its control server and its peers know it.
package struct NodeIdentityRecord: Sendable {
    /// The control server that knows the keys.
    package var control: ControlTarget
    /// Identifies the machine to control.
    package var machineKey: MachinePrivateKey
    /// Identifies the node to control and peers.
    package var nodeKey: NodePrivateKey
    /// The key that is to replace `nodeKey` as soon as control accepts it.
    package var candidateKey: NodePrivateKey?
    /// Whether control has accepted `nodeKey`; if so, deleting the VM logs the node out.
    package var isRegistered: Bool
    /// What else the node wants to find again, without secrets.
    package var details: JSONTree

    /// Joins the parts.
    package init(
        control: ControlTarget,
        machineKey: MachinePrivateKey,
        nodeKey: NodePrivateKey,
        candidateKey: NodePrivateKey? = nil,
        isRegistered: Bool = false,
        details: JSONTree = .object([:])
    ) {
        self.control = control
        self.machineKey = machineKey
        self.nodeKey = nodeKey
        self.candidateKey = candidateKey
        self.isRegistered = isRegistered
        self.details = details
    }
}

/// The keys of an identity as the document that is sealed.
struct NodeKeysDocument: Codable {
    /// The machine's private key.
    var machineKey: String
    /// The node's private key.
    var nodeKey: String
    /// The private key that is to replace it.
    var candidateKey: String?

    /// Writes the keys as text.
    init(_ identity: NodeIdentityRecord) {
        machineKey = identity.machineKey.text
        nodeKey = identity.nodeKey.text
        candidateKey = identity.candidateKey?.text
    }

    /// The identity that the keys belong to.
    func identity(control: ControlTarget, isRegistered: Bool, details: JSONTree) throws -> NodeIdentityRecord {
        guard let machineKey = MachinePrivateKey(text: machineKey), let nodeKey = NodePrivateKey(text: nodeKey) else {
            throw StoreError.failed(code: -1, message: "stored keys cannot be read")
        }
        return NodeIdentityRecord(
            control: control,
            machineKey: machineKey,
            nodeKey: nodeKey,
            candidateKey: candidateKey.flatMap { NodePrivateKey(text: $0) },
            isRegistered: isRegistered,
            details: details
        )
    }
}

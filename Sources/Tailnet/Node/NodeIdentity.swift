package import WarrenCrypto
package import WarrenModel

/// Who a node is: the keys by which control and peers know it, and what else it wants to find again.
package struct NodeIdentity: Sendable {
    /// Identifies the installation to control.
    package var machineKey: MachinePrivateKey
    /// Identifies the node to control, relays and peers.
    package var nodeKey: NodePrivateKey
    /// The key that is to replace `nodeKey` as soon as control accepts it; until then nothing is sealed by it.
    package var candidateKey: NodePrivateKey?
    /// Whether control accepted `nodeKey`.
    package var isRegistered: Bool
    /// Whether its owner logged the node out, so that it stays out until its owner logs it in.
    package var isLoggedOut = false
    /// 64 random hex digits; stock servers expect every client to have a log id, and nothing is ever uploaded under it.
    package var logID: String
    /// Which node the chosen exit node turned out to be.
    package var exitNode: RememberedExitNode?

    /// A new identity that nobody knows yet.
    package init() {
        self.init(machineKey: MachinePrivateKey(), nodeKey: NodePrivateKey())
    }

    /// Joins the parts; without a log id one is made.
    package init(
        machineKey: MachinePrivateKey,
        nodeKey: NodePrivateKey,
        candidateKey: NodePrivateKey? = nil,
        isRegistered: Bool = false,
        logID: String? = nil
    ) {
        self.machineKey = machineKey
        self.nodeKey = nodeKey
        self.candidateKey = candidateKey
        self.isRegistered = isRegistered
        self.logID = logID ?? Self.makeLogID()
    }

    /// Puts the candidate in the place of the key that control knew.
    mutating func promoteCandidate() {
        guard let candidateKey else { return }
        nodeKey = candidateKey
        self.candidateKey = nil
        isRegistered = true
    }

    /// Forgets the node key, as a logout does; control still knows the machine, and gives it the same place again.
    package mutating func logOut() {
        nodeKey = NodePrivateKey()
        candidateKey = nil
        isRegistered = false
        isLoggedOut = true
    }

    private static func makeLogID() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<64).map { _ in String(Int.random(in: 0..<16, using: &generator), radix: 16) }.joined()
    }
}

/// The stable id that a choice of an exit node came to when it was first made out.
package struct RememberedExitNode: Hashable, Sendable {
    /// What the owner asked for.
    package var choice: ExitNodeChoice
    /// The node that it was.
    package var stableID: String

    /// Joins the two.
    package init(choice: ExitNodeChoice, stableID: String) {
        self.choice = choice
        self.stableID = stableID
    }
}

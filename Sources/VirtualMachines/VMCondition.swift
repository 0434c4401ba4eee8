package import Store
package import WarrenModel

/// What a request waits for; every part that is given must hold.
package struct VMCondition: Hashable, Sendable {
    /// The VM is in this state.
    package var state: VMState?
    /// Its node is in this state.
    package var network: NetworkState?
    /// Its guest agent answers.
    package var isAgentReady: Bool
    /// Its node waits for a login whose URL is known, or needs none.
    package var isLoginSettled: Bool

    /// Joins the parts; nil and false ask for nothing.
    package init(
        state: VMState? = nil,
        network: NetworkState? = nil,
        isAgentReady: Bool = false,
        isLoginSettled: Bool = false
    ) {
        self.state = state
        self.network = network
        self.isAgentReady = isAgentReady
        self.isLoginSettled = isLoginSettled
    }

    /// Whether it holds for a VM.
    package func holds(for record: VMRecord, isAgentReady: Bool) -> Bool {
        (state == nil || record.status.state == state)
            && (network == nil || record.status.network?.state == network)
            && (!self.isAgentReady || isAgentReady)
            && (!isLoginSettled || record.status.network.map(Self.isSettled) == true)
    }

    private static func isSettled(_ network: NetworkStatus) -> Bool {
        network.loginUrl != nil || network.state == .running || network.state == .needsMachineAuth
    }
}

package import Store
package import WarrenModel

/// Why a request about a VM cannot be served.
package enum VMError: Error, Equatable, Sendable {
    /// No VM of this name or id.
    case notFound(String)
    /// Another VM that is not deleted has the name.
    case nameTaken(String)
    /// The VM's state forbids the request.
    case invalidTransition(from: VMState, request: String)
    /// The spec is not the one that the request was made for.
    case changedMeanwhile
    /// The host has no room.
    case capacityExceeded(StateReason)
    /// Rules that only this host can judge.
    case invalidSpec([FieldError])
    /// These members change only while the VM is stopped.
    case notStopped(VMState, members: [String])
    /// The VM's node does not take part in its tailnet at the moment.
    case networkNotRunning(String)
    /// The tailnet of the VM's node has no such peer.
    case peerNotFound(String)
    /// The VM has no network.
    case noNetwork(String)
    /// The guest has no agent that answers.
    case noGuestAgent(String)
    /// The guest's agent cannot do what was asked.
    case agentUnsupported(String)
    /// The guest or QEMU did not do as asked.
    case hypervisorFailure(String)
    /// The database did not do as asked.
    case store(StoreError)
    /// The daemon is going down, or not up yet.
    case shuttingDown

    /// The error of the store as the one about a VM.
    init(_ error: StoreError) {
        switch error {
        case .nameTaken(let name): self = .nameTaken("\(name)")
        case .notFound: self = .notFound("")
        default: self = .store(error)
        }
    }
}

package import WarrenModel

/// Why a request about a VM cannot be served.
package enum VMError: Error, Hashable, Sendable {
    /// No VM of this name or id.
    case notFound(String)
    /// Another VM that is not deleted has the name.
    case nameTaken(String)
    /// The VM's state forbids the request.
    case invalidTransition(from: VMState, request: String)
    /// The host has no room; `retryAfter` is a hint.
    case capacityExceeded(StateReason)
    /// A rule that only the whole of the spec and this host can judge.
    case invalidSpec([FieldError])
    /// The guest has no agent that answers.
    case noGuestAgent(String)
    /// The guest or QEMU did not do as asked.
    case hypervisorFailure(String)
    /// The daemon is going down.
    case shuttingDown
}

import Coordination
import HTTPTypes
import Store
import VirtualMachines
import WarrenModel

extension APIProblem {
    /// The failure that a client is told when `error` ended its request.
    ///
    /// The switches have no default: a new case of an error does not compile until it has a status.
    init(_ error: any Error) {
        switch error {
        case let error as APIProblem: self = error
        case let error as ValidationFailure: self.init(error)
        case let error as JSONSyntaxError: self.init(error)
        case let error as VMError: self.init(error)
        case let error as StoreError: self.init(error)
        case let error as CoordinationError: self.init(error)
        case is CancellationError: self.init(.shuttingDown, "The request was given up.")
        default: self.init(.internalError, "The request failed.")
        }
    }

    private init(_ failure: ValidationFailure) {
        let count = failure.errors.count
        var first = failure.errors.first.map { "\($0.pointer.isEmpty ? "The body" : $0.pointer): \($0.detail)" } ?? ""
        if !first.hasSuffix(".") { first += "." }
        self.init(
            .validationFailed,
            count == 1 ? first : "\(count) faults; the first: \(first)",
            errors: failure.errors
        )
    }

    private init(_ error: JSONSyntaxError) {
        self.init(.invalidJSON, error.detail)
    }

    private init(_ error: VMError) {
        switch error {
        case .notFound(let name): self.init(.vmNotFound, "There is no VM \(name).")
        case .nameTaken(let name): self.init(.nameTaken, "A VM named \(name) exists.")
        case .invalidTransition(let state, let request):
            self.init(.invalidState, "The VM is \(state.rawValue); \(request) is not possible in that state.")
        case .capacityExceeded(let reason):
            // Room appears when somebody deletes a VM, which no one can foresee: half a minute spares both sides.
            self.init(.capacityExceeded, reason.message, headers: [.retryAfter: "30"])
        case .invalidSpec(let errors): self.init(ValidationFailure(errors))
        case .changedMeanwhile: self.init(.preconditionFailed, "The spec of the VM is not the one that If-Match names.")
        case .notStopped(let state, let members):
            self.init(
                .vmNotStopped,
                "The VM is \(state.rawValue); \(members.joined(separator: ", ")) can only change while it is stopped."
            )
        case .networkNotRunning(let name):
            self.init(.networkNotRunning, "The node of \(name) does not take part in its tailnet at the moment.")
        case .peerNotFound(let peer):
            self.init(.peerNotFound, "The tailnet of the VM has no peer \(peer.prefix(253)).")
        case .noNetwork(let name): self.init(.noNetwork, "\(name) was made without networkInterface.")
        case .agentUnsupported(let what):
            self.init(.agentUnsupported, "The agent in the guest cannot do this: \(what).")
        case .store(let error): self.init(error)
        case .noGuestAgent(let name): self.init(.noGuestAgent, "No agent answers in \(name).")
        case .hypervisorFailure(let message): self.init(.hypervisorFailure, message)
        case .shuttingDown: self.init(.shuttingDown, "The daemon is shutting down.")
        }
    }

    private init(_ error: CoordinationError) {
        switch error {
        case .nodeNotFound: self.init(.notFound, "There is no such node.")
        case .nodeNameTaken(let name):
            self.init(.nameTaken, "Another node is called \(name), or no node may be.")
        case .policyChanged:
            self.init(.preconditionFailed, "The policy is not the one that If-Match names.")
        case .authKeyNotFound: self.init(.notFound, "There is no such auth key.")
        case .loginNotFound: self.init(.notFound, "There is no such login, or it has ended.")
        case .addressesExhausted: self.init(.tailnetUnavailable, "The tailnet's range of addresses is used up.")
        case .notRunning: self.init(.tailnetUnavailable, "The embedded coordination server does not run.")
        case .invalidAddressRange, .damagedRecord:
            self.init(.internalError, "The embedded coordination server refused.")
        }
    }

    private init(_ error: StoreError) {
        switch error {
        case .nameTaken(let name): self.init(.nameTaken, "A VM named \(name) exists.")
        case .notFound: self.init(.notFound, "It does not exist, or no longer.")
        case .eventsTrimmed(let oldest):
            self.init(.eventsTrimmed, "The oldest event that is kept has the number \(oldest).")
        case .diskFull: self.init(.storageFull, "There is no room for the change.")
        case .cancelled: self.init(.shuttingDown, "The request was given up.")
        case .newerSchema, .foreignFile, .corrupt, .unwritable, .locked, .secretKeyMissing, .secretKeyInvalid,
            .secretKeyExposed, .failed:
            self.init(.internalError, "The database refused.")
        }
    }
}

extension HTTPField.Name {
    /// `X-Request-Id`.
    static let requestID = field("X-Request-Id")
    /// `Idempotency-Key`.
    static let idempotencyKey = field("Idempotency-Key")
    /// `Idempotency-Replayed`.
    static let idempotencyReplayed = field("Idempotency-Replayed")
    /// `Last-Event-ID`.
    static let lastEventID = field("Last-Event-ID")

    private static func field(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("\(text) is no field name") }
        return name
    }
}

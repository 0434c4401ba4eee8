import ControlPlane
import WarrenModel

/// The reasons that a node gives for its state, as slugs for programs and sentences for people.
enum NodeReason {
    static let unreachableCode = "control-unreachable"
    static let invalidControlURL = StateReason(
        code: "control-url-invalid", message: "The control URL is not an absolute http or https URL."
    )
    static let keyExpired = StateReason(code: "key-expired", message: "The node key has expired; log in again.")
    static let keyUnacceptable = StateReason(
        code: "key-unacceptable", message: "The control server accepts neither the old nor a new node key."
    )
    static let awaitingApproval = StateReason(
        code: "awaiting-approval", message: "An administrator of the tailnet must approve this node."
    )
    static let notStored = StateReason(code: "not-stored", message: "The node's keys could not be written to the database.")

    static func authKeyRejected(_ text: String) -> StateReason {
        StateReason(code: "auth-key-rejected", message: "The control server refuses the auth key: \(text)")
    }

    static func loginRejected(_ text: String) -> StateReason {
        StateReason(code: "login-rejected", message: "The control server refuses the login: \(text)")
    }
}

extension NodeReason {
    /// The reason for a failing control server.

    static func reason(_ error: ControlError) -> StateReason {
        switch error {
        case .invalidURL: invalidControlURL
        case .plainHTTPRefused:
            StateReason(code: "control-plain-http", message: "Clear-text control servers are refused here (control.allowPlainHTTP).")
        case .blockedByPolicy:
            StateReason(code: "control-refused", message: "The control server's address is refused by this host's policy.")
        case .unreachable: unreachable("The control server cannot be reached.")
        case .tlsFailed: unreachable("The control server's certificate is not accepted.")
        case .keyUnavailable(let status):
            unreachable(status.map { "The control server answered \($0) instead of its key." } ?? "The control server gave no usable key.")
        case .upgradeRefused(let status): unreachable("The control server answered \(status) to the upgrade.")
        case .handshakeFailed: unreachable("The handshake with the control server failed.")
        case .invalidRecord, .malformedResponse, .oversized:
            StateReason(code: "control-malformed", message: "The control server sent something malformed.")
        case .httpStatus(let code, _): StateReason(code: "control-error", message: "The control server answered \(code).")
        case .rateLimited: StateReason(code: "control-error", message: "The control server asks to wait.")
        case .timedOut: unreachable("The control server does not answer in time.")
        case .connectionClosed: unreachable("The control server closed the connection.")
        }
    }

    private static func unreachable(_ message: String) -> StateReason {
        StateReason(code: unreachableCode, message: message)
    }
}

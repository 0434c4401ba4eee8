import Transport

extension ControlError {
    /// The cause behind an error of the network stack.
    package init(mapping error: any Error) {
        if let error = error as? ControlError {
            self = error
            return
        }
        self =
            switch TransportError(mapping: error) {
            case .blockedByPolicy: .blockedByPolicy
            case .unreachable: .unreachable
            case .tlsFailed: .tlsFailed
            case .proxyUnreachable(let name): .proxyUnreachable(name)
            case .proxyRefused(let name, let status): .proxyRefused(name, status: status)
            case .upgradeRefused(let status): .upgradeRefused(status: status)
            case .malformedReply, .webSocketViolation: .malformedResponse
            case .timedOut: .timedOut
            case .connectionClosed: .connectionClosed
            }
    }
}

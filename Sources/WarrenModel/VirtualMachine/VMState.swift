/// What a VM is doing.
package enum VMState: String, Hashable, Sendable, Codable, CaseIterable {
    case creating, starting, running, pausing, paused, resuming, stopping, stopped, suspending, suspended, failed,
        deleting

    /// Whether the state ends by itself, in success or failure, before its deadline.
    package var isTransient: Bool {
        switch self {
        case .creating, .starting, .pausing, .resuming, .stopping, .suspending, .deleting: true
        case .running, .paused, .stopped, .suspended, .failed: false
        }
    }
}

/// What the user wants a VM to be doing.
package enum DesiredState: String, Hashable, Sendable, Codable, CaseIterable {
    case running, paused, suspended, stopped, deleted
}

/// How QEMU runs the guest's instructions.
package enum Accelerator: String, Hashable, Sendable, Codable, CaseIterable {
    /// Translated by QEMU.
    case tcg
    /// Run by the processor.
    case kvm
}

/// Why something is as it is, when that is not obvious.
package struct StateReason: Hashable, Sendable, Codable, Error {
    /// A slug for programs, such as `guest-panicked` or `control-unreachable`.
    package let code: String
    /// One sentence for people.
    package let message: String

    /// Joins the two.
    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }
}

/// The body of `POST /v1/vms/{vm}/stop`.
package struct StopRequest: Hashable, Sendable {
    /// How long the guest may take; nil means the configured time.
    package let timeout: Duration?
    /// Power off at once.
    package let isForced: Bool

    /// Joins the two.
    package init(timeout: Duration? = nil, isForced: Bool = false) {
        self.timeout = timeout
        self.isForced = isForced
    }

    /// Reads a body, or throws every fault in it.
    package init(_ body: JSONTree) throws(ValidationFailure) {
        self = try ObjectReader.decode(body) { reader in
            StopRequest(
                timeout: reader.duration("timeout", in: .zero ... .seconds(3600)),
                isForced: reader.bool("force") ?? false
            )
        }
    }
}

/// The body of `POST /v1/vms/{vm}/network/login`.
package struct NetworkLoginRequest: Hashable, Sendable {
    /// Nil asks for an interactive login.
    package let authKey: SecretText?

    /// Reads a body, or throws every fault in it.
    package init(_ body: JSONTree) throws(ValidationFailure) {
        authKey = try ObjectReader.decode(body) { reader in
            .some(
                reader.parsed(
                    "authKey",
                    format: "1 to 512 visible ASCII characters",
                    nullable: true,
                    NetworkInterfaceRequest.authKey
                )
            )
        }
    }
}

/// The answer of `GET /v1/vms/{vm}/wait`.
package struct WaitAnswer: Hashable, Sendable, Codable {
    /// Whether what was waited for came true in time.
    package var reached: Bool
    /// The VM as it is now; nil when it is gone.
    @NullEncoded package var vm: VirtualMachine?

    /// Joins the two.
    package init(reached: Bool, vm: VirtualMachine?) {
        self.reached = reached
        self.vm = vm
    }
}

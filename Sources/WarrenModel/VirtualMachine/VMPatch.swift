import NetTypes

/// A JSON merge patch (RFC 7396) of what a user asked a VM to be.
///
/// It is applied to the body that would make the VM as it is, secrets and all, and what comes out is read as such a body: so there
/// is one set of members, rules and defaults, and null puts a member back to its default.
package struct VMPatch: Hashable, Sendable {
    private let tree: JSONTree
    /// What stands before the pointers of faults although the client did not write it.
    private let prefix: String

    /// A patch of the whole VM.
    package init(_ body: JSONTree) {
        tree = body
        prefix = ""
    }

    /// A patch of the VM's `networkInterface` alone.
    package init(networkInterface body: JSONTree) {
        tree = ["networkInterface": body]
        prefix = "/networkInterface"
    }

    /// What a VM is to be, and what was made on the way there.
    package struct Outcome: Hashable, Sendable {
        /// The spec from now on.
        package let spec: VMSpec
        /// The secrets of callbacks from now on.
        package let callbacks: [CallbackKind: CallbackSecrets]
        /// The callbacks whose secret was made here and must be shown in the answer.
        package let made: Set<CallbackKind>
    }

    /// Applies the patch, or throws every fault in it.
    package func applied(
        to spec: VMSpec,
        _ secrets: VMSecrets,
        limits: VMLimits,
        defaults: VMDefaults,
        using generator: inout some RandomNumberGenerator
    ) throws(ValidationFailure) -> Outcome {
        do throws(ValidationFailure) {
            try checkShape(of: spec)
            // What a VM has already stays allowed when the host's limits are lowered.
            let limits = VMLimits(
                maxMemoryMiB: max(limits.maxMemoryMiB, spec.memoryMiB),
                maxCPUs: max(limits.maxCPUs, spec.cpus)
            )
            let request = try CreateVMRequest(Self.body(of: spec, secrets).merging(tree), limits: limits)
            let resolved = request.resolved(defaults: defaults, using: &generator)
            var new = resolved.spec
            new.networkInterface?.hasAuthKey = spec.networkInterface?.hasAuthKey ?? false
            return Outcome(
                spec: new,
                callbacks: resolved.secrets.callbacks,
                made: request.callbacksWithoutSecret
            )
        } catch { throw pointed(error) }
    }

    /// The same faults with pointers into what the client sent.
    package func pointed(_ failure: ValidationFailure) -> ValidationFailure {
        ValidationFailure(
            failure.errors.map { fault in
                guard fault.pointer.hasPrefix(prefix) else { return fault }
                let pointer = String(fault.pointer.dropFirst(prefix.count))
                return FieldError(pointer: pointer, code: fault.code, detail: fault.detail)
            }
        )
    }

    private func checkShape(of spec: VMSpec) throws(ValidationFailure) {
        var faults: [FieldError] = []
        func refuse(_ pointer: String, _ code: FieldError.Code, _ detail: String) {
            faults.append(FieldError(pointer: pointer, code: code, detail: detail))
        }
        if tree.object == nil { refuse("", .wrongType, "must be an object, not \(tree.kind)") }
        if let interface = tree["networkInterface"] {
            if spec.networkInterface == nil, !interface.isNull {
                refuse("/networkInterface", .refused, "cannot be added: the VM was made without a network")
            } else if interface.object == nil, spec.networkInterface != nil {
                let isNull = interface.isNull
                refuse(
                    "/networkInterface",
                    isNull ? .refused : .wrongType,
                    isNull ? "cannot be taken away" : "must be an object, not \(interface.kind)"
                )
            }
            if interface["authKey"] != nil {
                refuse(
                    "/networkInterface/authKey",
                    .refused,
                    "is used by POST /v1/vms/{vm}/network/login, which takes it"
                )
            }
        }
        if !faults.isEmpty { throw ValidationFailure(faults) }
    }

    /// The body that would make a VM as it is.
    private static func body(of spec: VMSpec, _ secrets: VMSecrets) -> JSONTree {
        var members: [String: JSONTree] = [
            "name": .string(spec.name.text), "image": .string(spec.image), "cpus": .integer(Int64(spec.cpus)),
            "memoryMiB": .integer(Int64(spec.memoryMiB)), "autostart": .bool(spec.autostart),
            "restart": [
                "policy": .string(spec.restart.policy.rawValue), "maxRetries": .integer(Int64(spec.restart.maxRetries)),
            ],
            "labels": .object(spec.labels.mapValues { .string($0) }),
        ]
        members["kernelArgs"] = spec.kernelArgs.map { .string($0) }
        members["networkInterface"] = spec.networkInterface.map { body(of: $0, secrets) }
        return .object(members)
    }

    private static func body(of interface: NetworkInterfaceSpec, _ secrets: VMSecrets) -> JSONTree {
        let preferences = interface.preferences
        var members: [String: JSONTree] = [
            "controlUrl": .string(interface.control.description), "hostname": .string(interface.hostname.text),
            "ephemeral": .bool(interface.isEphemeral), "tags": .array(preferences.tags.map { .string($0) }),
            "exitNodeAllowLanAccess": .bool(preferences.exitNodeAllowLanAccess),
            "acceptRoutes": .bool(preferences.acceptRoutes), "acceptDns": .bool(preferences.acceptDNS),
            "advertiseRoutes": .array(preferences.advertiseRoutes.map { .string($0.description) }),
            "shieldsUp": .bool(preferences.shieldsUp), "transport": .string(preferences.transport.rawValue),
        ]
        members["exitNode"] = preferences.exitNode.map { .string($0.description) }
        for (kind, callback) in interface.callbacks {
            var object: [String: JSONTree] = ["url": .string(callback.url.text)]
            if let known = secrets.callbacks[kind] {
                object["secret"] = .string(known.signingSecret.reveal())
                object["headers"] = .object(known.headers.mapValues { .string($0.reveal()) })
            }
            members[kind.rawValue] = .object(object)
        }
        return .object(members)
    }
}

extension JSONTree {
    /// The document with a merge patch applied (RFC 7396 §2).
    ///
    /// A null for a member that is not there stays, so that the reader of the outcome still sees a name that it does not know.
    package func merging(_ patch: JSONTree) -> JSONTree {
        guard case .object(let changes) = patch else { return patch }
        var members = object ?? [:]
        for (name, change) in changes {
            if change.isNull, members[name] != nil {
                members[name] = nil
            } else {
                members[name] = change.isNull ? .null : (members[name] ?? .null).merging(change)
            }
        }
        return .object(members)
    }
}

import NetTypes

/// The body of `POST /v1/vms`, checked but without defaults.
package struct CreateVMRequest: Hashable, Sendable {
    /// Absent asks for a made-up name.
    package var name: VMName?
    /// Absent means the configured default.
    package var image: String?
    /// Virtual CPUs.
    package var cpus: Int
    /// Absent means the configured default.
    package var memoryMiB: Int?
    /// Added to the kernel's command line.
    package var kernelArgs: String?
    /// Absent makes a VM without a network.
    package var networkInterface: NetworkInterfaceRequest?
    /// Start now and with the daemon.
    package var autostart: Bool
    /// What happens when the guest ends unasked.
    package var restart: RestartPolicy
    /// Free words of the user.
    package var labels: [String: String]

    static let labelFormat = "a label of 1 to 63 lower-case letters, digits and inner hyphens (RFC 1123)"
    /// How many labels a VM may have.
    package static let maxLabels = 64
    /// The kernel takes 2048 octets on x86; half stays for what the daemon adds.
    package static let maxKernelArgsOctets = 1024

    /// Reads a body, or throws every fault in it.
    package init(_ body: JSONTree, limits: VMLimits) throws(ValidationFailure) {
        self = try ObjectReader.decode(body) { reader in CreateVMRequest(&reader, limits: limits) }
    }

    private init(_ reader: inout ObjectReader, limits: VMLimits) {
        name = reader.parsed("name", format: Self.labelFormat) { VMName($0) }
        image = reader.parsed("image", format: "an image's name or id") { Self.isImageReference($0) ? $0 : nil }
        cpus = reader.integer("cpus", in: 1...max(1, limits.maxCPUs)) ?? 1
        memoryMiB = reader.integer(
            "memoryMiB",
            in: VMLimits.minMemoryMiB...max(VMLimits.minMemoryMiB, limits.maxMemoryMiB)
        )
        kernelArgs = reader.string("kernelArgs", octets: 0...Self.maxKernelArgsOctets, nullable: true)
        networkInterface = reader.object("networkInterface", nullable: true, NetworkInterfaceRequest.read)
        autostart = reader.bool("autostart") ?? true
        restart = reader.object("restart", RestartPolicy.read) ?? .standard
        labels =
            reader.dictionary(
                "labels",
                count: Self.maxLabels,
                keyFormat: "1 to 63 letters, digits, dots, hyphens, underscores or slashes",
                isKey: Self.isLabelKey,
                valueOctets: 0...255
            ) ?? [:]
        reader.notSupported("disks", "userData", "files", "autoDestroy", "ttl")
    }

    /// The spec and its secrets, with defaults filled in and missing callback secrets made.
    package func resolved(
        defaults: VMDefaults,
        using generator: inout some RandomNumberGenerator
    ) -> (spec: VMSpec, secrets: VMSecrets) {
        let name = name ?? VMName.madeUp(using: &generator)
        var secrets = VMSecrets(authKey: networkInterface?.authKey)
        var interface: NetworkInterfaceSpec?
        if let request = networkInterface {
            var callbacks: [CallbackKind: CallbackSpec] = [:]
            for (kind, callback) in request.callbacks {
                callbacks[kind] = CallbackSpec(url: callback.url, headerNames: callback.headers.keys.sorted())
                secrets.callbacks[kind] = CallbackSecrets(
                    signingSecret: callback.secret ?? .random(using: &generator),
                    headers: callback.headers
                )
            }
            interface = NetworkInterfaceSpec(
                control: request.control ?? defaults.control,
                hasAuthKey: request.authKey != nil,
                callbacks: callbacks,
                hostname: request.hostname ?? name,
                isEphemeral: request.isEphemeral,
                preferences: request.preferences
            )
        }
        let spec = VMSpec(
            name: name,
            image: image ?? defaults.image,
            cpus: cpus,
            memoryMiB: memoryMiB ?? defaults.memoryMiB,
            kernelArgs: kernelArgs,
            networkInterface: interface,
            autostart: autostart,
            restart: restart,
            labels: labels
        )
        return (spec, secrets)
    }

    /// The URLs that this host's policy refuses, each with the place where it stands.
    package func refusals(by policy: any WebTargetPolicy) -> [FieldError] {
        guard let networkInterface else { return [] }
        var errors: [FieldError] = []
        if case .url(let url)? = networkInterface.control, let reason = policy.refusal(of: url, for: .control) {
            errors.append(FieldError(pointer: "/networkInterface/controlUrl", code: .refused, detail: reason))
        }
        for kind in CallbackKind.allCases {
            guard let callback = networkInterface.callbacks[kind],
                let reason = policy.refusal(of: callback.url, for: .webhook)
            else { continue }
            let pointer = "/networkInterface/\(kind.rawValue)" + (callback.isObject ? "/url" : "")
            errors.append(FieldError(pointer: pointer, code: .refused, detail: reason))
        }
        return errors
    }

    /// The callbacks whose secret was made here and must be shown in the answer.
    package var callbacksWithoutSecret: Set<CallbackKind> {
        Set((networkInterface?.callbacks ?? [:]).filter { $0.value.secret == nil }.keys)
    }

    /// Whether `text` could name an image: an id, or 1 to 63 of `a-z 0-9 . _ -` that begin with a letter or digit.
    package static func isImageReference(_ text: String) -> Bool {
        guard (1...63).contains(text.utf8.count), let first = text.utf8.first else { return false }
        func isAlphanumeric(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) }
        return isAlphanumeric(first) && text.utf8.allSatisfy { isAlphanumeric($0) || "._-".utf8.contains($0) }
    }

    /// Whether `text` may be the key of a label: 1 to 63 of `A-Z a-z 0-9 . _ - /`.
    package static func isLabelKey(_ text: String) -> Bool {
        (1...63).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) || "._-/".utf8.contains($0)
            }
    }
}

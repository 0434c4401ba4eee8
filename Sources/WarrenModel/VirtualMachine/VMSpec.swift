/// What a user asked a VM to be, with every default filled in and without secrets.
package struct VMSpec: Hashable, Sendable, Codable {
    /// The name.
    package var name: VMName
    /// The image's name or id.
    package var image: String
    /// How many virtual CPUs.
    package var cpus: Int
    /// The guest's memory.
    package var memoryMiB: Int
    /// What is added to the kernel's command line, or nil.
    package var kernelArgs: String?
    /// The tailnet side, or nil for a VM without a network.
    package var networkInterface: NetworkInterfaceSpec?
    /// Whether the VM starts at once and again with the daemon.
    package var autostart: Bool
    /// What happens when the guest ends unasked.
    package var restart: RestartPolicy
    /// Free words of the user.
    package var labels: [String: String]

    /// Joins the parts.
    package init(
        name: VMName,
        image: String,
        cpus: Int = 1,
        memoryMiB: Int,
        kernelArgs: String? = nil,
        networkInterface: NetworkInterfaceSpec? = nil,
        autostart: Bool = true,
        restart: RestartPolicy = .standard,
        labels: [String: String] = [:]
    ) {
        self.name = name
        self.image = image
        self.cpus = cpus
        self.memoryMiB = memoryMiB
        self.kernelArgs = kernelArgs
        self.networkInterface = networkInterface
        self.autostart = autostart
        self.restart = restart
        self.labels = labels
    }
}

/// What a VM's spec leaves out because it is secret; stored sealed.
package struct VMSecrets: Hashable, Sendable, Codable {
    /// The auth key, until the node is registered.
    package var authKey: SecretText?
    /// Signing secrets and header values by callback.
    package var callbacks: [CallbackKind: CallbackSecrets]

    /// Joins the two.
    package init(authKey: SecretText? = nil, callbacks: [CallbackKind: CallbackSecrets] = [:]) {
        self.authKey = authKey
        self.callbacks = callbacks
    }
}

/// What one VM may ask for at most on this host.
package struct VMLimits: Hashable, Sendable {
    /// The most memory.
    package var maxMemoryMiB: Int
    /// The most virtual CPUs.
    package var maxCPUs: Int

    /// The least memory that the smallest image boots in.
    package static let minMemoryMiB = 64

    /// Joins the two.
    package init(maxMemoryMiB: Int, maxCPUs: Int) {
        self.maxMemoryMiB = maxMemoryMiB
        self.maxCPUs = maxCPUs
    }
}

/// What a request that leaves members out gets.
package struct VMDefaults: Hashable, Sendable {
    /// The image.
    package var image: String
    /// The memory.
    package var memoryMiB: Int
    /// The control server.
    package var control: ControlTarget

    /// Joins the parts.
    package init(image: String, memoryMiB: Int, control: ControlTarget) {
        self.image = image
        self.memoryMiB = memoryMiB
        self.control = control
    }
}

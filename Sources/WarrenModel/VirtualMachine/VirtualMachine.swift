package import NetTypes

/// A VM as the API answers it: its spec without secrets, and how it is.
package struct VirtualMachine: Hashable, Sendable, Codable {
    /// The identifier.
    package var id: VMID
    /// The name.
    package var name: VMName
    /// The image's name or id.
    package var image: String
    /// How many virtual CPUs.
    package var cpus: Int
    /// The guest's memory.
    package var memoryMiB: Int
    /// What is added to the kernel's command line.
    @NullEncoded package var kernelArgs: String?
    /// The tailnet side, or null for a VM without a network.
    @NullEncoded package var networkInterface: NetworkInterfaceAnswer?
    /// Whether the VM starts with the daemon.
    package var autostart: Bool
    /// What happens when the guest ends unasked.
    package var restart: RestartPolicy
    /// Free words of the user.
    package var labels: [String: String]
    /// Counts changes of the spec.
    package var generation: Int64
    /// Counts changes of state.
    package var stateGeneration: Int64
    /// When it was made.
    package var createdAt: Timestamp
    /// When anything about it changed last.
    package var updatedAt: Timestamp
    /// What the user wants it to be doing.
    package var desiredState: DesiredState
    /// What it is doing.
    package var state: VMState
    /// Why, when that is not obvious.
    @NullEncoded package var stateReason: StateReason?
    /// Since when `state` holds.
    package var stateSince: Timestamp
    /// By when a transient state ends or fails.
    @NullEncoded package var stateDeadline: Timestamp?
    /// How QEMU runs it, once it ran.
    @NullEncoded package var accelerator: Accelerator?
    /// How its node is, or null for a VM without a network.
    @NullEncoded package var network: NetworkStatus?

    /// Joins a spec with how the VM is.
    package init(id: VMID, spec: VMSpec, status: VMStatus, createdAt: Timestamp, updatedAt: Timestamp) {
        self.id = id
        name = spec.name
        image = spec.image
        cpus = spec.cpus
        memoryMiB = spec.memoryMiB
        kernelArgs = spec.kernelArgs
        networkInterface = spec.networkInterface.map { NetworkInterfaceAnswer($0) }
        autostart = spec.autostart
        restart = spec.restart
        labels = spec.labels
        generation = status.generation
        stateGeneration = status.stateGeneration
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        desiredState = status.desiredState
        state = status.state
        stateReason = status.stateReason
        stateSince = status.stateSince
        stateDeadline = status.stateDeadline
        accelerator = status.accelerator
        network = status.network
    }

    /// The entity tag: the first number counts spec changes, the second state changes.
    package var entityTag: String { "\"\(generation).\(stateGeneration)\"" }
}

/// The changing half of a VM, as it is stored.
package struct VMStatus: Hashable, Sendable, Codable {
    /// Counts changes of the spec.
    package var generation: Int64
    /// Counts changes of state.
    package var stateGeneration: Int64
    /// What the user wants it to be doing.
    package var desiredState: DesiredState
    /// What it is doing.
    package var state: VMState
    /// Why, when that is not obvious.
    package var stateReason: StateReason?
    /// Since when `state` holds.
    package var stateSince: Timestamp
    /// By when a transient state ends or fails.
    package var stateDeadline: Timestamp?
    /// How QEMU runs it, once it ran.
    package var accelerator: Accelerator?
    /// Nil for a VM without a network.
    package var network: NetworkStatus?

    /// A VM that has just been asked for.
    package init(
        generation: Int64 = 1,
        stateGeneration: Int64 = 1,
        desiredState: DesiredState,
        state: VMState = .creating,
        stateReason: StateReason? = nil,
        stateSince: Timestamp,
        stateDeadline: Timestamp? = nil,
        accelerator: Accelerator? = nil,
        network: NetworkStatus? = nil
    ) {
        self.generation = generation
        self.stateGeneration = stateGeneration
        self.desiredState = desiredState
        self.state = state
        self.stateReason = stateReason
        self.stateSince = stateSince
        self.stateDeadline = stateDeadline
        self.accelerator = accelerator
        self.network = network
    }
}

/// `networkInterface` as the API answers it: secrets only as `{"set": true}`.
package struct NetworkInterfaceAnswer: Hashable, Sendable, Codable {
    /// Whether there is an auth key.
    package var authKey: SecretAnswer
    /// The control server.
    package var controlUrl: ControlTarget
    /// Who is told of login URLs.
    @NullEncoded package var loginUrlCb: CallbackAnswer?
    /// Who is told of the node's states.
    @NullEncoded package var stateUpdateCb: CallbackAnswer?
    /// Who is told of the node's peers.
    @NullEncoded package var netmapUpdateCb: CallbackAnswer?
    /// The name the node asks for.
    package var hostname: DNSLabel
    /// Whether control forgets the node when it is gone.
    package var ephemeral: Bool
    /// The tags it asks for.
    package var tags: [String]
    /// Through which peer the guest reaches the internet, or null for not at all.
    @NullEncoded package var exitNode: ExitNodeChoice?
    /// Whether networks next to the node stay reachable while an exit node is in use.
    package var exitNodeAllowLanAccess: Bool
    /// Whether subnets behind other nodes are reachable.
    package var acceptRoutes: Bool
    /// Whether the guest uses MagicDNS.
    package var acceptDns: Bool
    /// The subnets that the guest routes for.
    package var advertiseRoutes: [IPPrefix]
    /// Whether everything that peers begin is refused.
    package var shieldsUp: Bool
    /// How control, relays and peers are reached.
    package var transport: NodeTransport

    /// Shows a spec.
    package init(_ spec: NetworkInterfaceSpec) {
        authKey = .isSet(spec.hasAuthKey)
        controlUrl = spec.control
        loginUrlCb = spec.callbacks[.loginURL].map { CallbackAnswer($0) }
        stateUpdateCb = spec.callbacks[.stateUpdate].map { CallbackAnswer($0) }
        netmapUpdateCb = spec.callbacks[.netmapUpdate].map { CallbackAnswer($0) }
        hostname = spec.hostname
        ephemeral = spec.isEphemeral
        let preferences = spec.preferences
        tags = preferences.tags
        exitNode = preferences.exitNode
        exitNodeAllowLanAccess = preferences.exitNodeAllowLanAccess
        acceptRoutes = preferences.acceptRoutes
        acceptDns = preferences.acceptDNS
        advertiseRoutes = preferences.advertiseRoutes
        shieldsUp = preferences.shieldsUp
        transport = preferences.transport
    }

    /// Shows a secret that was made for a callback; for the one answer that does.
    package mutating func show(_ secret: WebhookSecret, of kind: CallbackKind) {
        switch kind {
        case .loginURL: loginUrlCb?.secret = .shown(secret.reveal())
        case .stateUpdate: stateUpdateCb?.secret = .shown(secret.reveal())
        case .netmapUpdate: netmapUpdateCb?.secret = .shown(secret.reveal())
        }
    }
}

/// A callback as the API answers it.
package struct CallbackAnswer: Hashable, Sendable, Codable {
    /// The endpoint.
    package var url: WebURL
    /// What signs the deliveries.
    package var secret: SecretAnswer
    /// Extra header fields by name.
    package var headers: [String: SecretAnswer]

    /// Shows a spec.
    package init(_ spec: CallbackSpec) {
        url = spec.url
        secret = .isSet(true)
        headers = Dictionary(spec.headerNames.map { ($0, .isSet(true)) }, uniquingKeysWith: { first, _ in first })
    }
}

/// A secret in an answer: whether there is one, or, once, the text of one just made.
package enum SecretAnswer: Hashable, Sendable, Codable {
    /// `{"set": …}`.
    case isSet(Bool)
    /// The text.
    case shown(String)

    private enum CodingKeys: String, CodingKey { case set }

    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        if let text = try? decoder.singleValueContainer().decode(String.self) {
            self = .shown(text)
        } else {
            self = .isSet(try decoder.container(keyedBy: CodingKeys.self).decode(Bool.self, forKey: .set))
        }
    }

    /// Writes the JSON form.
    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .isSet(let isSet):
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(isSet, forKey: .set)
        case .shown(let text):
            var container = encoder.singleValueContainer()
            try container.encode(text)
        }
    }
}

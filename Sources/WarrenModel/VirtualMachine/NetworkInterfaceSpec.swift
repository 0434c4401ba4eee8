/// Which control server a VM's node belongs to.
package enum ControlTarget: Hashable, Sendable {
    /// The coordination server inside this daemon, wherever it listens.
    case embedded
    /// Any other.
    case url(WebURL)

    /// Reads `embedded` or a URL.
    package init?(_ text: some StringProtocol) {
        if text == "embedded" {
            self = .embedded
        } else if let url = WebURL(text) {
            self = .url(url)
        } else {
            return nil
        }
    }
}

extension ControlTarget: CustomStringConvertible {
    /// `embedded` or the URL.
    package var description: String {
        switch self {
        case .embedded: "embedded"
        case .url(let url): url.text
        }
    }
}

extension ControlTarget: Codable {
    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = ControlTarget(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a control URL")
        }
        self = value
    }

    /// Writes the JSON form.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// How a VM takes part in a tailnet, without its secrets; every default is filled in.
package struct NetworkInterfaceSpec: Hashable, Sendable {
    /// The control server.
    package var control: ControlTarget
    /// Whether the user gave an auth key; the key itself is stored sealed, and wiped once used.
    package var hasAuthKey: Bool
    /// The callbacks that are set.
    package var callbacks: [CallbackKind: CallbackSpec]
    /// The name the node asks for.
    package var hostname: DNSLabel
    /// Whether control forgets the node when it is gone.
    package var isEphemeral: Bool
    /// What else the user wishes of the node.
    package var preferences: NetworkPreferences

    /// Joins the parts.
    package init(
        control: ControlTarget,
        hasAuthKey: Bool,
        callbacks: [CallbackKind: CallbackSpec],
        hostname: DNSLabel,
        isEphemeral: Bool = false,
        preferences: NetworkPreferences = NetworkPreferences()
    ) {
        self.control = control
        self.hasAuthKey = hasAuthKey
        self.callbacks = callbacks
        self.hostname = hostname
        self.isEphemeral = isEphemeral
        self.preferences = preferences
    }
}

extension NetworkInterfaceSpec: Codable {
    private enum CodingKeys: String, CodingKey {
        case control, hasAuthKey, callbacks, hostname, isEphemeral, preferences, acceptsDNS
    }

    /// Reads the stored form; the first one knew `acceptsDNS` alone of the preferences.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        control = try members.decode(ControlTarget.self, forKey: .control)
        hasAuthKey = try members.decode(Bool.self, forKey: .hasAuthKey)
        callbacks = try members.decode([CallbackKind: CallbackSpec].self, forKey: .callbacks)
        hostname = try members.decode(DNSLabel.self, forKey: .hostname)
        isEphemeral = try members.decode(Bool.self, forKey: .isEphemeral)
        let acceptsDNS = try members.decodeIfPresent(Bool.self, forKey: .acceptsDNS) ?? true
        preferences =
            try members.decodeIfPresent(NetworkPreferences.self, forKey: .preferences)
            ?? NetworkPreferences(acceptDNS: acceptsDNS)
    }

    /// Writes the stored form.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(control, forKey: .control)
        try members.encode(hasAuthKey, forKey: .hasAuthKey)
        try members.encode(callbacks, forKey: .callbacks)
        try members.encode(hostname, forKey: .hostname)
        try members.encode(isEphemeral, forKey: .isEphemeral)
        try members.encode(preferences, forKey: .preferences)
    }
}

/// The `networkInterface` of a request, before defaults.
package struct NetworkInterfaceRequest: Hashable, Sendable {
    /// Absent asks for an interactive login.
    package var authKey: SecretText?
    /// Absent means the configured default.
    package var control: ControlTarget?
    /// The callbacks given.
    package var callbacks: [CallbackKind: CallbackRequest]
    /// Absent means the VM's name.
    package var hostname: DNSLabel?
    /// `ephemeral`.
    package var isEphemeral: Bool
    /// What else the user wishes of the node.
    package var preferences: NetworkPreferences

    /// Joins the parts.
    package init(
        authKey: SecretText? = nil,
        control: ControlTarget? = nil,
        callbacks: [CallbackKind: CallbackRequest] = [:],
        hostname: DNSLabel? = nil,
        isEphemeral: Bool = false,
        preferences: NetworkPreferences = NetworkPreferences()
    ) {
        self.authKey = authKey
        self.control = control
        self.callbacks = callbacks
        self.hostname = hostname
        self.isEphemeral = isEphemeral
        self.preferences = preferences
    }

    static func read(_ reader: inout ObjectReader) -> NetworkInterfaceRequest? {
        var request = NetworkInterfaceRequest()
        request.authKey = reader.parsed(
            "authKey",
            format: "1 to 512 visible ASCII characters",
            nullable: true,
            authKey
        )
        request.control = reader.parsed(
            "controlUrl",
            format: "embedded, or an absolute http or https URL",
            nullable: true
        ) {
            ControlTarget($0)
        }
        for kind in CallbackKind.allCases {
            request.callbacks[kind] = CallbackRequest.read(kind.rawValue, from: &reader)
        }
        request.hostname = reader.parsed("hostname", format: CreateVMRequest.labelFormat, nullable: true) {
            DNSLabel($0)
        }
        request.isEphemeral = reader.bool("ephemeral") ?? false
        request.preferences = NetworkPreferences.read(&reader)
        return request
    }

    /// Checks an auth key's shape; whether it is good only control knows.
    package static func authKey(_ text: String) -> SecretText? {
        (1...512).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
            ? SecretText(text) : nil
    }
}

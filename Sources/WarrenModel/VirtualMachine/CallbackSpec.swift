/// Which of a VM's three callbacks is meant.
package enum CallbackKind: String, Hashable, Sendable, Codable, CodingKeyRepresentable, CaseIterable {
    /// `loginUrlCb`: a login URL to show to a person.
    case loginURL = "loginUrlCb"
    /// `stateUpdateCb`: the node's state changed.
    case stateUpdate = "stateUpdateCb"
    /// `netmapUpdateCb`: the node's view of its tailnet changed.
    case netmapUpdate = "netmapUpdateCb"

    /// The type of event that the callback receives.
    package var eventType: EventType {
        switch self {
        case .loginURL: .networkLoginRequired
        case .stateUpdate: .networkStateChanged
        case .netmapUpdate: .networkNetmapChanged
        }
    }
}

/// Where a VM's callback goes, without what is secret about it.
package struct CallbackSpec: Hashable, Sendable, Codable {
    /// The endpoint.
    package let url: WebURL
    /// Names of the extra header fields; their values are secrets.
    package let headerNames: [String]

    /// Joins the two.
    package init(url: WebURL, headerNames: [String] = []) {
        self.url = url
        self.headerNames = headerNames
    }
}

/// The secret half of a callback.
package struct CallbackSecrets: Hashable, Sendable, Codable {
    /// Signs the deliveries.
    package var signingSecret: WebhookSecret
    /// Values of the extra header fields by name.
    package var headers: [String: SecretText]

    /// Joins the two.
    package init(signingSecret: WebhookSecret, headers: [String: SecretText] = [:]) {
        self.signingSecret = signingSecret
        self.headers = headers
    }
}

/// A callback as a request gives it: a URL, or an object with `url`, `secret` and `headers`.
package struct CallbackRequest: Hashable, Sendable {
    /// The endpoint.
    package let url: WebURL
    /// The signing secret; nil asks for one to be made and shown once.
    package let secret: WebhookSecret?
    /// Extra header fields.
    package let headers: [String: SecretText]
    /// Whether the request gave an object, whose `url` faults point at.
    package let isObject: Bool

    /// Joins the parts.
    package init(
        url: WebURL,
        secret: WebhookSecret? = nil,
        headers: [String: SecretText] = [:],
        isObject: Bool = false
    ) {
        self.url = url
        self.secret = secret
        self.headers = headers
        self.isObject = isObject
    }

    static func read(_ name: String, from reader: inout ObjectReader) -> CallbackRequest? {
        guard let tree = reader.value(name, nullable: true) else { return nil }
        let urlFormat = "an absolute http or https URL without user and fragment"
        if let text = tree.string {
            guard let url = WebURL(text) else {
                reader.fail(name, .badFormat, "must be \(urlFormat)")
                return nil
            }
            return CallbackRequest(url: url)
        }
        guard case .object = tree else {
            reader.fail(name, .wrongType, "must be a URL or an object, not \(tree.kind)")
            return nil
        }
        return ObjectReader.read(tree, at: reader.path(name), into: reader.faults) { reader in
            let url = reader.parsed("url", format: urlFormat, required: true) { WebURL($0) }
            let secret = reader.parsed(
                "secret",
                format: "whsec_ and 24 to 64 octets in base 64",
                nullable: true
            ) { WebhookSecret($0) }
            let headers = reader.dictionary(
                "headers",
                count: 16,
                keyFormat: "a header field name that deliveries do not set themselves",
                isKey: isAllowedHeader,
                valueOctets: 0...4096
            )
            guard let url else { return nil }
            return CallbackRequest(
                url: url,
                secret: secret,
                headers: (headers ?? [:]).mapValues { SecretText($0) },
                isObject: true
            )
        }
    }

    /// Whether a callback may set this header field: a token (RFC 9110 §5.6.2) that neither frames nor signs the request.
    package static func isAllowedHeader(_ name: String) -> Bool {
        let reserved: Set<String> = [
            "host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer",
            "expect", "keep-alive", "user-agent", "webhook-id", "webhook-timestamp", "webhook-signature",
        ]
        return (1...128).contains(name.utf8.count) && !reserved.contains(name.lowercased())
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || "!#$%&'*+-.^_`|~".utf8.contains($0)
            }
    }
}

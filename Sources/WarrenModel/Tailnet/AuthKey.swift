/// The body of `POST /v1/tailnet/auth-keys`.
package struct CreateAuthKeyRequest: Hashable, Sendable {
    /// Whether it is good for more than one node.
    package let reusable: Bool
    /// Whether control forgets the node when it is gone.
    package let ephemeral: Bool
    /// How long the key is good.
    package let expiry: Duration
    /// The tags a node gets by it.
    package let tags: [String]

    /// How long a key is good when the request does not say: 90 days, as upstream.
    package static let defaultExpiry = Duration.seconds(90 * 86_400)

    /// Joins the parts.
    package init(
        reusable: Bool = false,
        ephemeral: Bool = false,
        expiry: Duration = CreateAuthKeyRequest.defaultExpiry,
        tags: [String] = []
    ) {
        self.reusable = reusable
        self.ephemeral = ephemeral
        self.expiry = expiry
        self.tags = tags
    }

    /// Reads a body, or throws every fault in it.
    package init(_ body: JSONTree) throws(ValidationFailure) {
        self = try ObjectReader.decode(body) { reader in
            let faults = reader.faults
            let tags = reader.array("tags", count: 0...32) { tree, pointer -> String? in
                guard let text = tree.string else {
                    faults.add(.wrongType, at: pointer, "must be a string, not \(tree.kind)")
                    return nil
                }
                guard Self.isTag(text) else {
                    faults.add(.badFormat, at: pointer, "must be tag: and a label such as tag:ci")
                    return nil
                }
                return text
            }
            return CreateAuthKeyRequest(
                reusable: reader.bool("reusable") ?? false,
                ephemeral: reader.bool("ephemeral") ?? false,
                expiry: reader.duration("expiry", in: .seconds(1) ... .seconds(366 * 86_400)) ?? Self.defaultExpiry,
                tags: tags ?? []
            )
        }
    }

    /// Whether `text` is a tag as upstream writes it (tailcfg.CheckTag): a letter first, then letters, digits and hyphens.
    package static func isTag(_ text: String) -> Bool {
        guard text.hasPrefix("tag:") else { return false }
        let name = text.dropFirst(4).utf8
        guard let first = name.first, (0x61...0x7A).contains(first | 0x20), name.count <= 63 else { return false }
        return name.allSatisfy { (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) || $0 == 0x2D }
    }
}

/// An auth key of the embedded coordination server; `key` only in the answer that made it.
package struct AuthKeyAnswer: Hashable, Sendable, Codable {
    /// Names the key without being it.
    package var id: String
    /// The key itself, in the answer that made it.
    package var key: String?
    /// Whether it is good for more than one node.
    package var reusable: Bool
    /// Whether control forgets the node when it is gone.
    package var ephemeral: Bool
    /// The tags a node gets by it.
    package var tags: [String]
    /// When it was made.
    package var createdAt: Timestamp
    /// When it ends.
    package var expiresAt: Timestamp
    /// Whether a node was registered by it.
    package var used: Bool
    /// Whether it was taken back.
    package var revoked: Bool

    /// Joins the parts.
    package init(
        id: String,
        key: String? = nil,
        reusable: Bool,
        ephemeral: Bool,
        tags: [String],
        createdAt: Timestamp,
        expiresAt: Timestamp,
        used: Bool = false,
        revoked: Bool = false
    ) {
        self.id = id
        self.key = key
        self.reusable = reusable
        self.ephemeral = ephemeral
        self.tags = tags
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.used = used
        self.revoked = revoked
    }
}

/// The body of `POST /v1/tailnet/auth-keys`.
package struct CreateAuthKeyRequest: Hashable, Sendable {
    package let reusable: Bool
    package let ephemeral: Bool
    /// How long the key is good.
    package let expiry: Duration
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
                reusable: reader.bool("reusable") ?? false, ephemeral: reader.bool("ephemeral") ?? false,
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
    package var id: String
    package var key: String?
    package var reusable: Bool
    package var ephemeral: Bool
    package var tags: [String]
    package var createdAt: Timestamp
    package var expiresAt: Timestamp
    package var used: Bool
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

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
    /// Whether its nodes need no approval where devices are approved.
    package let preapproved: Bool

    /// How long a key is good when the request does not say: 90 days, as upstream.
    package static let defaultExpiry = Duration.seconds(90 * 86_400)

    /// Joins the parts.
    package init(
        reusable: Bool = false,
        ephemeral: Bool = false,
        expiry: Duration = CreateAuthKeyRequest.defaultExpiry,
        tags: [String] = [],
        preapproved: Bool = false
    ) {
        self.reusable = reusable
        self.ephemeral = ephemeral
        self.expiry = expiry
        self.tags = tags
        self.preapproved = preapproved
    }

    /// Reads a body, or throws every fault in it.
    package init(_ body: JSONTree) throws(ValidationFailure) {
        self = try ObjectReader.decode(body) { reader in
            let tags = reader.tags("tags")
            return CreateAuthKeyRequest(
                reusable: reader.bool("reusable") ?? false,
                ephemeral: reader.bool("ephemeral") ?? false,
                expiry: reader.duration("expiry", in: .seconds(1) ... .seconds(366 * 86_400)) ?? Self.defaultExpiry,
                tags: tags ?? [],
                preapproved: reader.bool("preapproved") ?? false
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

extension ObjectReader {
    /// A list of tags.
    mutating func tags(_ name: String) -> [String]? {
        let faults = faults
        return array(name, count: 0...32) { tree, pointer -> String? in
            guard let text = tree.string else {
                faults.add(.wrongType, at: pointer, "must be a string, not \(tree.kind)")
                return nil
            }
            guard CreateAuthKeyRequest.isTag(text) else {
                faults.add(.badFormat, at: pointer, "must be tag: and a label such as tag:ci")
                return nil
            }
            return text
        }
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
    /// Whether its nodes need no approval where devices are approved.
    package var preapproved: Bool
    /// Whether a node was registered by it.
    package var used: Bool
    /// How many registrations it let in.
    package var useCount: Int
    /// When it was first used, or null.
    @NullEncoded package var usedAt: Timestamp?
    /// The node that first came of it, or null.
    @NullEncoded package var usedBy: String?
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
        preapproved: Bool = false,
        useCount: Int = 0,
        usedAt: Timestamp? = nil,
        usedBy: String? = nil,
        revoked: Bool = false
    ) {
        self.id = id
        self.key = key
        self.reusable = reusable
        self.ephemeral = ephemeral
        self.tags = tags
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.preapproved = preapproved
        used = useCount > 0
        self.useCount = useCount
        self.usedAt = usedAt
        self.usedBy = usedBy
        self.revoked = revoked
    }
}

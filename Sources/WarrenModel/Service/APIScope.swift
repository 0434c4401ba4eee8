/// What a token allows.
package enum APIScope: String, Hashable, Sendable, Codable, CaseIterable {
    case vmRead = "vm:read"
    case vmWrite = "vm:write"
    case vmConsole = "vm:console"
    case networkWrite = "network:write"
    case admin

    /// Whether a token of this scope may do what needs `needed`: `admin` everything, `vm:write` also read.
    package func covers(_ needed: APIScope) -> Bool {
        self == .admin || self == needed || (self == .vmWrite && needed == .vmRead)
    }
}

/// A token as lists show it; `token` only in the answer that made it.
package struct APITokenAnswer: Hashable, Sendable, Codable {
    /// The identifier.
    package var id: TokenID
    /// The name.
    package var name: String
    /// What it allows.
    package var scopes: [APIScope]
    /// The only VM it is good for, or null.
    @NullEncoded package var vm: VMID?
    /// When it was made.
    package var createdAt: Timestamp
    /// When it ends.
    @NullEncoded package var expiresAt: Timestamp?
    /// The token itself, in the answer that made it.
    package var token: String?

    /// Joins the parts.
    package init(
        id: TokenID,
        name: String,
        scopes: [APIScope],
        vm: VMID?,
        createdAt: Timestamp,
        expiresAt: Timestamp?,
        token: String? = nil
    ) {
        self.id = id
        self.name = name
        self.scopes = scopes
        self.vm = vm
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.token = token
    }
}

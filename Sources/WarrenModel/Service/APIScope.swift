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
    package var id: TokenID
    package var name: String
    package var scopes: [APIScope]
    @NullEncoded package var vm: VMID?
    package var createdAt: Timestamp
    @NullEncoded package var expiresAt: Timestamp?
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

/// A node of the embedded coordination server.
package struct TailnetNodeAnswer: Hashable, Sendable, Codable {
    /// The identifier.
    package var id: String
    /// The name.
    package var name: String
    /// The full name, without a final dot.
    package var dnsName: String
    /// The tailnet addresses.
    package var addresses: [String]
    /// Whose node it is.
    package var user: String
    /// The tags it has.
    package var tags: [String]
    /// Whether control forgets the node when it is gone.
    package var ephemeral: Bool
    /// Whether control sees it.
    package var online: Bool
    /// Whether an administrator lets it take part; always true unless devices are approved.
    package var approved: Bool
    /// Whether its key has ended.
    package var expired: Bool
    /// Whether it is an approved exit node.
    package var exitNode: Bool
    /// What it offers to forward, and what of that holds.
    package var routes: TailnetRoutes
    /// The name it gave its host.
    package var hostname: String
    /// The operating system it says it runs.
    package var os: String
    /// When it was made.
    package var createdAt: Timestamp
    /// When it was last connected, or null while it is.
    @NullEncoded package var lastSeen: Timestamp?
    /// When its key ends, or null for never.
    @NullEncoded package var keyExpiry: Timestamp?

    /// Joins the parts.
    package init(
        id: String,
        name: String,
        dnsName: String,
        addresses: [String],
        user: String,
        tags: [String],
        ephemeral: Bool,
        online: Bool,
        approved: Bool = true,
        expired: Bool = false,
        exitNode: Bool = false,
        routes: TailnetRoutes = TailnetRoutes(),
        hostname: String = "",
        os: String = "",
        createdAt: Timestamp,
        lastSeen: Timestamp? = nil,
        keyExpiry: Timestamp? = nil
    ) {
        self.id = id
        self.name = name
        self.dnsName = dnsName
        self.addresses = addresses
        self.user = user
        self.tags = tags
        self.ephemeral = ephemeral
        self.online = online
        self.approved = approved
        self.expired = expired
        self.exitNode = exitNode
        self.routes = routes
        self.hostname = hostname
        self.os = os
        self.createdAt = createdAt
        self.lastSeen = lastSeen
        self.keyExpiry = keyExpiry
    }
}

/// The routes of a node of the embedded coordination server.
package struct TailnetRoutes: Hashable, Sendable, Codable {
    /// What the node offers.
    package var advertised: [String]
    /// What an administrator or the policy allows, offered or not.
    package var approved: [String]
    /// What it serves now: of several nodes with one route, only one does.
    package var primary: [String]

    /// Joins the lists.
    package init(advertised: [String] = [], approved: [String] = [], primary: [String] = []) {
        self.advertised = advertised
        self.approved = approved
        self.primary = primary
    }
}

/// A login that waits for approval at the embedded coordination server.
package struct TailnetLoginAnswer: Hashable, Sendable, Codable {
    /// The identifier.
    package var id: String
    /// The name the node asks for.
    package var hostname: String
    /// The operating system it says it runs.
    package var os: String
    /// The short form of the node's key.
    package var nodeKey: String
    /// From where the request came.
    @NullEncoded package var remoteAddress: String?
    /// When it was made.
    package var createdAt: Timestamp
    /// When it ends.
    package var expiresAt: Timestamp

    /// Joins the parts.
    package init(
        id: String,
        hostname: String,
        os: String,
        nodeKey: String,
        remoteAddress: String? = nil,
        createdAt: Timestamp,
        expiresAt: Timestamp
    ) {
        self.id = id
        self.hostname = hostname
        self.os = os
        self.nodeKey = nodeKey
        self.remoteAddress = remoteAddress
        self.createdAt = createdAt
        self.expiresAt = expiresAt
    }
}

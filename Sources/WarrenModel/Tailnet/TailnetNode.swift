/// A node of the embedded coordination server.
package struct TailnetNodeAnswer: Hashable, Sendable, Codable {
    package var id: String
    package var name: String
    package var dnsName: String
    package var addresses: [String]
    package var user: String
    package var tags: [String]
    package var ephemeral: Bool
    package var online: Bool
    package var createdAt: Timestamp
    @NullEncoded package var lastSeen: Timestamp?
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
        self.createdAt = createdAt
        self.lastSeen = lastSeen
        self.keyExpiry = keyExpiry
    }
}

/// A login that waits for approval at the embedded coordination server.
package struct TailnetLoginAnswer: Hashable, Sendable, Codable {
    package var id: String
    package var hostname: String
    package var os: String
    /// The short form of the node's key.
    package var nodeKey: String
    /// From where the request came.
    @NullEncoded package var remoteAddress: String?
    package var createdAt: Timestamp
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

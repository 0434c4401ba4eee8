/// A node of the embedded coordination server as it is stored.
package struct CoordinationNodeRecord: Equatable, Sendable {
    /// The node's number.
    package var id: Int64
    /// Its key as text, unique.
    package var nodeKey: String
    /// Its machine's key as text.
    package var machineKey: String
    /// Everything else, as JSON.
    package var document: String

    /// Joins the parts.
    package init(id: Int64, nodeKey: String, machineKey: String, document: String) {
        self.id = id
        self.nodeKey = nodeKey
        self.machineKey = machineKey
        self.document = document
    }
}

/// An auth key of the embedded coordination server: its hash and what it allows.
package struct CoordinationAuthKeyRecord: Equatable, Sendable {
    /// Names the key without being it.
    package var id: String
    /// The hash of the key, 32 octets.
    package var hash: [UInt8]
    /// Everything else, as JSON.
    package var document: String

    /// Joins the parts.
    package init(id: String, hash: [UInt8], document: String) {
        self.id = id
        self.hash = hash
        self.document = document
    }
}

/// Everything the embedded coordination server finds again after a restart, private keys aside.
package struct CoordinationState: Equatable, Sendable {
    /// The nodes, by number.
    package var nodes: [CoordinationNodeRecord]
    /// The auth keys, by id.
    package var authKeys: [CoordinationAuthKeyRecord]
    /// Counters by name, such as the next address.
    package var counters: [String: Int64]
    /// What an administrator decided, as JSON by name, such as the policy.
    package var documents: [String: String]

    /// Joins the parts.
    package init(
        nodes: [CoordinationNodeRecord] = [],
        authKeys: [CoordinationAuthKeyRecord] = [],
        counters: [String: Int64] = [:],
        documents: [String: String] = [:]
    ) {
        self.nodes = nodes
        self.authKeys = authKeys
        self.counters = counters
        self.documents = documents
    }
}

/// What one transaction changes of it.
package struct CoordinationChange: Equatable, Sendable {
    /// Nodes to add or replace, by number.
    package var nodes: [CoordinationNodeRecord]
    /// Nodes to remove.
    package var removedNodes: [Int64]
    /// Auth keys to add or replace, by id.
    package var authKeys: [CoordinationAuthKeyRecord]
    /// Auth keys to remove.
    package var removedAuthKeys: [String]
    /// Counters to set.
    package var counters: [String: Int64]
    /// Documents to set, or with nil to remove.
    package var documents: [String: String?]

    /// Joins the parts.
    package init(
        nodes: [CoordinationNodeRecord] = [],
        removedNodes: [Int64] = [],
        authKeys: [CoordinationAuthKeyRecord] = [],
        removedAuthKeys: [String] = [],
        counters: [String: Int64] = [:],
        documents: [String: String?] = [:]
    ) {
        self.nodes = nodes
        self.removedNodes = removedNodes
        self.authKeys = authKeys
        self.removedAuthKeys = removedAuthKeys
        self.counters = counters
        self.documents = documents
    }
}

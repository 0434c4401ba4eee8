package import Tailcfg

/// Everything durable, as it is read at start.
package struct CoordinationSnapshot: Sendable {
    /// All nodes.
    package var nodes: [NodeRecord] = []
    /// All auth keys.
    package var authKeys: [AuthKeyRecord] = []
    /// Counters by name.
    package var counters: [String: Int64] = [:]
    /// What an administrator decided, as JSON by name.
    package var documents: [String: String] = [:]

    /// Nothing yet.
    package init() {}
}

/// What one transaction writes.
package struct CoordinationChanges: Sendable {
    /// Nodes to insert or replace.
    package var nodes: [NodeID: NodeRecord] = [:]
    /// Nodes to delete.
    package var removedNodes: Set<NodeID> = []
    /// Auth keys to insert or replace.
    package var authKeys: [String: AuthKeyRecord] = [:]
    /// Auth keys to delete.
    package var removedAuthKeys: Set<String> = []
    /// Counters to set.
    package var counters: [String: Int64] = [:]
    /// Documents to set, or with nil to delete.
    package var documents: [String: String?] = [:]

    /// Nothing.
    package init() {}

    /// Whether there is nothing to write.
    package var isEmpty: Bool {
        nodes.isEmpty && removedNodes.isEmpty && authKeys.isEmpty && removedAuthKeys.isEmpty && counters.isEmpty
            && documents.isEmpty
    }

    /// Puts back what could not be written, without overriding what changed since.
    mutating func restore(_ older: CoordinationChanges) {
        nodes.merge(older.nodes.filter { !removedNodes.contains($0.key) }) { newer, _ in newer }
        removedNodes.formUnion(older.removedNodes)
        authKeys.merge(older.authKeys.filter { !removedAuthKeys.contains($0.key) }) { newer, _ in newer }
        removedAuthKeys.formUnion(older.removedAuthKeys)
        counters.merge(older.counters) { newer, _ in newer }
        documents.merge(older.documents) { newer, _ in newer }
    }
}

/// Where the coordination server keeps its state.
package protocol CoordinationPersistence: Sendable {
    /// Reads everything.
    func loadSnapshot() async throws -> CoordinationSnapshot
    /// Writes all changes in one transaction; calls are made in order, one at a time.
    func commit(_ changes: CoordinationChanges) async throws
    /// The secret kept under a name; made by `make` and kept, sealed, the first time.
    func secret(named name: String, orMake make: @Sendable () -> [UInt8]) async throws -> [UInt8]
}

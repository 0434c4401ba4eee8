import FoundationEssentials
package import Store
import Tailcfg
import WarrenCrypto

/// Keeps the coordination server's state in the host's database, one transaction a change.
package struct StorePersistence: CoordinationPersistence {
    private let database: WarrenDatabase

    /// Uses `database`.
    package init(_ database: WarrenDatabase) { self.database = database }

    /// Reads everything.
    ///
    /// - Throws: `CoordinationError.damagedRecord`, `StoreError`.
    package func loadSnapshot() async throws -> CoordinationSnapshot {
        let stored = try await database.coordinationState()
        var snapshot = CoordinationSnapshot()
        snapshot.nodes = try stored.nodes.map { try Self.decode(NodeRecord.self, $0.document, place: "node \($0.id)") }
        snapshot.authKeys = try stored.authKeys.map {
            try Self.decode(AuthKeyRecord.self, $0.document, place: "auth key \($0.id)")
        }
        snapshot.counters = stored.counters
        snapshot.documents = stored.documents
        return snapshot
    }

    /// Writes all changes in one transaction.
    package func commit(_ changes: CoordinationChanges) async throws {
        var change = CoordinationChange()
        change.nodes = try changes.nodes.values.map { node in
            CoordinationNodeRecord(
                id: node.id.rawValue,
                nodeKey: node.nodeKey.text,
                machineKey: node.machineKey.text,
                document: try Self.encode(node)
            )
        }
        change.removedNodes = changes.removedNodes.map(\.rawValue)
        change.authKeys = try changes.authKeys.values.map {
            CoordinationAuthKeyRecord(id: $0.id, hash: $0.hash, document: try Self.encode($0))
        }
        change.removedAuthKeys = Array(changes.removedAuthKeys)
        change.counters = changes.counters
        change.documents = changes.documents
        try await database.save(change)
    }

    /// The secret kept under a name, made the first time.
    package func secret(named name: String, orMake make: @Sendable () -> [UInt8]) async throws -> [UInt8] {
        try await database.coordinationSecret(named: name, orMake: make)
    }

    private static func encode(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    private static func decode<T: Decodable>(_ type: T.Type, _ document: String, place: String) throws -> T {
        do {
            return try JSONDecoder().decode(type, from: Data(document.utf8))
        } catch {
            throw CoordinationError.damagedRecord(place)
        }
    }
}

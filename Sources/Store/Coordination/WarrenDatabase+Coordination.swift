import Foundation
import GRDB
import WarrenCrypto

extension WarrenDatabase {
    /// A secret of the coordination server, such as a private key, by name; made by `make` and stored sealed the first time.
    package func coordinationSecret(
        named name: String,
        orMake make: @Sendable () -> [UInt8]
    ) async throws(StoreError) -> [UInt8] {
        let vault = vault
        let place = "coordination-keys/\(name)"
        return try await write { transaction in
            let stored = try Data.fetchOne(
                transaction.database,
                sql: "SELECT sealed FROM coordination_keys WHERE name = ?",
                arguments: [name]
            )
            if let stored { return try vault.open(Array(stored), for: place) }
            let secret = make()
            try transaction.execute(
                "INSERT INTO coordination_keys (name, sealed) VALUES (?, ?)",
                [name, Data(try vault.seal(secret, for: place))]
            )
            return secret
        }
    }

    /// Everything that was stored for the coordination server.
    package func coordinationState() async throws(StoreError) -> CoordinationState {
        try await read { database in
            CoordinationState(
                nodes: try Row.fetchAll(database, sql: "SELECT * FROM coordination_nodes ORDER BY id").map { row in
                    CoordinationNodeRecord(
                        id: row["id"],
                        nodeKey: row["node_key"],
                        machineKey: row["machine_key"],
                        document: row["document"]
                    )
                },
                authKeys: try Row.fetchAll(database, sql: "SELECT * FROM coordination_auth_keys ORDER BY id").map {
                    row in
                    CoordinationAuthKeyRecord(
                        id: row["id"],
                        hash: Array(row["hash"] as Data),
                        document: row["document"]
                    )
                },
                counters: Dictionary(
                    try Row.fetchAll(database, sql: "SELECT * FROM coordination_counters")
                        .map { ($0["name"] as String, $0["value"] as Int64) },
                    uniquingKeysWith: { _, last in last }
                ),
                documents: Dictionary(
                    try Row.fetchAll(database, sql: "SELECT * FROM coordination_documents")
                        .map { ($0["name"] as String, $0["document"] as String) },
                    uniquingKeysWith: { _, last in last }
                )
            )
        }
    }

    /// Stores a change whole: removals first, so that a key may move from one node to another.
    package func save(_ change: CoordinationChange) async throws(StoreError) {
        try await write { transaction in
            for id in change.removedNodes {
                try transaction.execute("DELETE FROM coordination_nodes WHERE id = ?", [id])
            }
            for id in change.removedAuthKeys {
                try transaction.execute("DELETE FROM coordination_auth_keys WHERE id = ?", [id])
            }
            for node in change.nodes {
                try transaction.execute(
                    """
                    INSERT INTO coordination_nodes (id, node_key, machine_key, document) VALUES (?, ?, ?, ?)
                    ON CONFLICT (id) DO UPDATE SET node_key = excluded.node_key, machine_key = excluded.machine_key,
                        document = excluded.document
                    """,
                    [node.id, node.nodeKey, node.machineKey, node.document]
                )
            }
            for key in change.authKeys {
                try transaction.execute(
                    """
                    INSERT INTO coordination_auth_keys (id, hash, document) VALUES (?, ?, ?)
                    ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, document = excluded.document
                    """,
                    [key.id, Data(key.hash), key.document]
                )
            }
            for (name, value) in change.counters {
                try transaction.execute(
                    """
                    INSERT INTO coordination_counters (name, value) VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET value = excluded.value
                    """,
                    [name, value]
                )
            }
            for (name, document) in change.documents {
                guard let document else {
                    try transaction.execute("DELETE FROM coordination_documents WHERE name = ?", [name])
                    continue
                }
                try transaction.execute(
                    """
                    INSERT INTO coordination_documents (name, document) VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET document = excluded.document
                    """,
                    [name, document]
                )
            }
        }
    }
}

import Foundation
import GRDB
import WarrenCrypto
package import WarrenModel

extension WarrenDatabase {
    /// The identity of a VM's node, or nil before it has one.
    package func identity(of id: VMID) async throws(StoreError) -> NodeIdentityRecord? {
        let vault = vault
        return try await read { database in try NodeIdentityRecord.fetch(database, id, vault: vault) }
    }

    /// Commits an identity, which must be done before its keys are used; with `wipingAuthKey` the auth key goes in the same breath.
    ///
    /// - Throws: `notFound`.
    package func saveIdentity(
        _ identity: NodeIdentityRecord,
        of id: VMID,
        wipingAuthKey: Bool = false
    ) async throws(StoreError) {
        try await write { transaction in
            guard var secrets = try transaction.secrets(of: id) else { throw StoreError.notFound }
            try transaction.save(identity, of: id)
            if wipingAuthKey, secrets.authKey != nil {
                secrets.authKey = nil
                try transaction.save(secrets, of: id)
            }
        }
    }
}

extension StoreTransaction {
    /// The identity of a VM's node.
    func identity(of id: VMID) throws -> NodeIdentityRecord? {
        try NodeIdentityRecord.fetch(database, id, vault: vault)
    }

    /// Writes an identity, sealed.
    func save(_ identity: NodeIdentityRecord, of id: VMID) throws {
        try execute(
            """
            INSERT INTO node_identities (vm_id, control, node_key, registered, details, sealed_keys)
            VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (vm_id) DO UPDATE SET control = excluded.control, node_key = excluded.node_key,
                registered = excluded.registered, details = excluded.details, sealed_keys = excluded.sealed_keys
            """,
            [
                id.description, identity.control.description, identity.nodeKey.publicKey.text, identity.isRegistered,
                try ModelJSON.text(identity.details), try seal(NodeKeysDocument(identity), for: .keys(of: id)),
            ]
        )
    }
}

extension NodeIdentityRecord {
    /// Reads the row of a VM.
    static func fetch(_ database: Database, _ id: VMID, vault: SecretVault) throws -> NodeIdentityRecord? {
        try Row.fetchOne(
            database,
            sql: "SELECT * FROM node_identities WHERE vm_id = ?",
            arguments: [id.description]
        )
        .map { row in
            try vault.open(NodeKeysDocument.self, row["sealed_keys"] as Data, for: .keys(of: id)).identity(
                control: try row.parsed("control") { ControlTarget($0) },
                isRegistered: row["registered"],
                details: try ModelJSON.decode(JSONTree.self, from: row["details"] as String)
            )
        }
    }
}

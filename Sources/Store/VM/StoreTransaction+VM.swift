import Foundation
import GRDB
import WarrenModel

extension StoreTransaction {
    /// The VM with this id.
    func vm(_ id: VMID) throws -> VMRecord? {
        try Row.fetchOne(database, sql: "SELECT * FROM vms WHERE id = ?", arguments: [id.description])
            .map { try VMRecord($0, vault: vault) }
    }

    /// Writes a new row of `vms`.
    func insert(_ record: VMRecord, secrets: VMSecrets) throws {
        do {
            try execute(
                """
                INSERT INTO vms (id, name, spec, status, runtime, sealed_secrets, sealed_login_url, created_at, updated_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    record.id.description, record.spec.name.text, try ModelJSON.text(record.spec),
                    try statusText(record),
                    try ModelJSON.text(record.runtime), try seal(secrets, for: .secrets(of: record.id)),
                    try sealedLoginURL(record), record.createdAt.millisecondsSinceEpoch,
                    record.updatedAt.millisecondsSinceEpoch,
                ]
            )
        } catch let error as DatabaseError where error.extendedResultCode == .SQLITE_CONSTRAINT_UNIQUE {
            throw StoreError.nameTaken(record.spec.name)
        }
    }

    /// Writes a VM as it is now.
    func update(_ record: VMRecord) throws {
        do {
            try execute(
                """
                UPDATE vms SET name = ?, spec = ?, status = ?, runtime = ?, sealed_login_url = ?, updated_at = ?, deleted_at = ?
                WHERE id = ?
                """,
                [
                    record.spec.name.text, try ModelJSON.text(record.spec), try statusText(record),
                    try ModelJSON.text(record.runtime), try sealedLoginURL(record),
                    record.updatedAt.millisecondsSinceEpoch, record.deletedAt?.millisecondsSinceEpoch,
                    record.id.description,
                ]
            )
        } catch let error as DatabaseError where error.extendedResultCode == .SQLITE_CONSTRAINT_UNIQUE {
            throw StoreError.nameTaken(record.spec.name)
        }
    }

    /// A VM's secrets.
    func secrets(of id: VMID) throws -> VMSecrets? {
        try Data.fetchOne(database, sql: "SELECT sealed_secrets FROM vms WHERE id = ?", arguments: [id.description])
            .map { try vault.open(VMSecrets.self, $0, for: .secrets(of: id)) }
    }

    /// Replaces a VM's secrets.
    func save(_ secrets: VMSecrets, of id: VMID) throws {
        try execute(
            "UPDATE vms SET sealed_secrets = ? WHERE id = ?",
            [try seal(secrets, for: .secrets(of: id)), id.description]
        )
    }

    // The login URL is as good as a credential, so the status is stored without it and the URL sealed beside it.
    private func statusText(_ record: VMRecord) throws -> String {
        var status = record.status
        status.network?.loginUrl = nil
        return try ModelJSON.text(status)
    }

    private func sealedLoginURL(_ record: VMRecord) throws -> Data? {
        try vault.sealText(record.status.network?.loginUrl, for: .loginURL(of: record.id))
    }
}

extension VMRecord {
    /// Reads a row of `vms`.
    init(_ row: Row, vault: SecretVault) throws {
        let id = try row.parsed("id") { VMID($0) }
        var status = try ModelJSON.decode(VMStatus.self, from: row["status"] as String)
        status.network?.loginUrl = try vault.openText(row["sealed_login_url"], for: .loginURL(of: id))
        self.init(
            id: id,
            spec: try ModelJSON.decode(VMSpec.self, from: row["spec"] as String),
            status: status,
            runtime: try ModelJSON.decode(JSONTree.self, from: row["runtime"] as String),
            createdAt: row.timestamp("created_at"),
            updatedAt: row.timestamp("updated_at"),
            deletedAt: row.optionalTimestamp("deleted_at")
        )
    }
}

extension String {
    /// The place of a VM's secrets.
    static func secrets(of id: VMID) -> String { "vms.secrets/\(id)" }
    /// The place of a VM's login URL.
    static func loginURL(of id: VMID) -> String { "vms.login-url/\(id)" }
    /// The place of a VM's private keys.
    static func keys(of id: VMID) -> String { "node-identities.keys/\(id)" }
    /// The place of an event's login URL.
    static func loginURL(of id: EventID) -> String { "events.login-url/\(id)" }
}

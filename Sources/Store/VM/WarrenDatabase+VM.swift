import Foundation
import GRDB
package import WarrenModel

extension WarrenDatabase {
    /// Records a new VM, its secrets and the node it will be, with `vm.created`.
    ///
    /// - Throws: `nameTaken` when a VM that is not deleted has the name.
    package func createVM(
        id: VMID,
        spec: VMSpec,
        secrets: VMSecrets,
        status: VMStatus,
        runtime: JSONTree = .object([:]),
        identity: NodeIdentityRecord? = nil,
        now: Timestamp
    ) async throws(StoreError) -> VMRecord {
        try await write { transaction in
            let record = VMRecord(
                id: id,
                spec: spec,
                status: status,
                runtime: runtime,
                createdAt: now,
                updatedAt: now,
                deletedAt: nil
            )
            try transaction.insert(record, secrets: secrets)
            if let identity { try transaction.save(identity, of: id) }
            try transaction.record(EventDraft(.created), about: record, now: now)
            return record
        }
    }

    /// The VM with this id, also a deleted one for as long as its row is kept.
    package func vm(_ id: VMID) async throws(StoreError) -> VMRecord? {
        let vault = vault
        return try await read { database in
            try Row.fetchOne(database, sql: "SELECT * FROM vms WHERE id = ?", arguments: [id.description])
                .map { try VMRecord($0, vault: vault) }
        }
    }

    /// The VM of this name that is not deleted.
    package func vm(named name: String) async throws(StoreError) -> VMRecord? {
        let vault = vault
        return try await read { database in
            try Row.fetchOne(
                database,
                sql: "SELECT * FROM vms WHERE name = ? AND deleted_at IS NULL",
                arguments: [name]
            )
            .map { try VMRecord($0, vault: vault) }
        }
    }

    /// The VMs that are not deleted, oldest first, after the one with id `after`.
    package func vms(
        matching filter: VMFilter = VMFilter(),
        after: VMID? = nil,
        limit: Int = .max
    ) async throws(StoreError) -> [VMRecord] {
        let vault = vault
        return try await read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: "SELECT * FROM vms WHERE deleted_at IS NULL AND id > ? ORDER BY id",
                arguments: [after?.description ?? ""]
            )
            var records: [VMRecord] = []
            while records.count < limit, let row = try rows.next() {
                let record = try VMRecord(row, vault: vault)
                if filter.matches(record) { records.append(record) }
            }
            return records
        }
    }

    /// Changes a VM and records what happened, with the deliveries that follow from it.
    ///
    /// `change` edits the record and answers the events. The store counts the generations, and when the login URL is gone
    /// or another, the old one is masked wherever it was written and its deliveries are superseded.
    ///
    /// - Throws: `notFound`, `nameTaken`.
    package func updateVM(
        _ id: VMID,
        now: Timestamp,
        _ change: @Sendable (inout VMRecord) throws -> [EventDraft]
    ) async throws(StoreError) -> VMRecord {
        try await write { transaction in
            try transaction.change(id, now: now, change)
        }
    }

    /// Ends a VM's life: its name is free, its secrets are wiped, and its node's keys move to a logout job.
    ///
    /// The row stays, for those who ask by id how the clean-up went, until `purgeDeletedVMs`.
    ///
    /// - Throws: `notFound`.
    package func finishDeletion(of id: VMID, now: Timestamp) async throws(StoreError) -> VMRecord {
        try await write { transaction in
            let identity = try transaction.identity(of: id)
            let needsLogout = identity?.isRegistered == true
            let record = try transaction.change(id, now: now) { record in
                record.deletedAt = now
                record.status.desiredState = .deleted
                record.status.network?.loginUrl = nil
                record.status.network?.loginUrlSince = nil
                record.status.network?.cleanup = needsLogout ? .pending : .done
                return [EventDraft(.deleted)]
            }
            if let identity, needsLogout { try transaction.addLogout(of: identity, vm: id, now: now) }
            try transaction.execute("DELETE FROM node_identities WHERE vm_id = ?", [id.description])
            var secrets = try transaction.secrets(of: id) ?? VMSecrets()
            secrets.authKey = nil
            try transaction.save(secrets, of: id)
            return record
        }
    }

    /// Forgets VMs deleted before `limit` whose clean-up is over; their pending deliveries are given up.
    package func purgeDeletedVMs(before limit: Timestamp) async throws(StoreError) {
        try await write { transaction in
            let gone = """
                deleted_at < ? AND id NOT IN (SELECT vm_id FROM node_logouts WHERE status = 'pending')
                """
            let arguments: StatementArguments = [limit.millisecondsSinceEpoch]
            try transaction.execute(
                "DELETE FROM outbox WHERE vm_id IN (SELECT id FROM vms WHERE \(gone))",
                arguments
            )
            try transaction.execute(
                "DELETE FROM disabled_endpoints WHERE vm_id IN (SELECT id FROM vms WHERE \(gone))",
                arguments
            )
            try transaction.execute("DELETE FROM vms WHERE \(gone)", arguments)
        }
    }

    /// A VM's secrets.
    ///
    /// - Throws: `notFound`.
    package func secrets(of id: VMID) async throws(StoreError) -> VMSecrets {
        let vault = vault
        let secrets = try await read { database in
            try Data.fetchOne(database, sql: "SELECT sealed_secrets FROM vms WHERE id = ?", arguments: [id.description])
                .map { try vault.open(VMSecrets.self, $0, for: .secrets(of: id)) }
        }
        guard let secrets else { throw .notFound }
        return secrets
    }

    /// Replaces the auth key, for a login that a user asks for; the spec tells from then on that there is one.
    ///
    /// - Throws: `notFound`.
    package func saveAuthKey(
        _ authKey: SecretText?,
        of id: VMID,
        now: Timestamp
    ) async throws(StoreError) -> VMRecord {
        try await write { transaction in
            guard var secrets = try transaction.secrets(of: id) else { throw StoreError.notFound }
            secrets.authKey = authKey
            try transaction.save(secrets, of: id)
            return try transaction.change(id, now: now) { record in
                record.spec.networkInterface?.hasAuthKey = authKey != nil
                return []
            }
        }
    }
}

extension StoreTransaction {
    /// Applies a change to a VM; see `WarrenDatabase.updateVM`.
    mutating func change(
        _ id: VMID,
        now: Timestamp,
        _ change: (inout VMRecord) throws -> [EventDraft]
    ) throws -> VMRecord {
        guard let old = try vm(id) else { throw StoreError.notFound }
        var new = old
        let drafts = try change(&new)
        new.status.generation = old.status.generation + (new.spec == old.spec ? 0 : 1)
        let isSameState = new.status.significant == old.status.significant
        new.status.stateGeneration = old.status.stateGeneration + (isSameState ? 0 : 1)
        if new != old {
            new.updatedAt = now
            try update(new)
        }
        let oldURL = old.status.network?.loginUrl
        if oldURL != nil, oldURL != new.status.network?.loginUrl { try endLogin(of: id, now: now) }
        for draft in drafts { try record(draft, about: new, now: now) }
        return new
    }
}

import Foundation
import GRDB
import NetTypes
package import WarrenModel

/// A node that is still to be logged out of its tailnet, after its VM is gone.
package struct NodeLogoutRecord: Sendable {
    /// Names the job.
    package let id: Int64
    /// The VM that is gone.
    package let vmID: VMID
    /// Who the node was.
    package let identity: NodeIdentityRecord
    /// How often it was tried.
    package let attempts: Int
    /// Since when.
    package let createdAt: Timestamp
}

/// How an attempt to log a node out ended.
package enum NodeLogoutOutcome: Equatable, Sendable {
    /// The control server forgot the node.
    case done
    /// Not this time; try again then.
    case retry(at: Timestamp, error: String)
    /// Never again: the keys are wiped and an event says so.
    case gaveUp(error: String)
}

extension WarrenDatabase {
    /// How long a node's logout is tried.
    package static let logoutPatience = Duration.seconds(7 * 86_400)

    /// The logout jobs that are due.
    package func dueLogouts(now: Timestamp, limit: Int = 16) async throws(StoreError) -> [NodeLogoutRecord] {
        let vault = vault
        return try await read { database in
            try Row.fetchAll(
                database,
                sql: "SELECT * FROM node_logouts WHERE status = 'pending' AND next_attempt_at <= ? ORDER BY id LIMIT ?",
                arguments: [now.millisecondsSinceEpoch, limit]
            )
            .map { row in
                let vm = try row.parsed("vm_id") { VMID($0) }
                let identity = try vault.open(NodeKeysDocument.self, row["sealed_keys"] as Data, for: .keys(of: vm))
                    .identity(
                        control: try row.parsed("control") { ControlTarget($0) },
                        isRegistered: true,
                        details: .object([:])
                    )
                return NodeLogoutRecord(
                    id: row["id"],
                    vmID: vm,
                    identity: identity,
                    attempts: row["attempts"],
                    createdAt: row.timestamp("created_at")
                )
            }
        }
    }

    /// When the next logout job is due, or nil without any.
    package func nextLogout() async throws(StoreError) -> Timestamp? {
        try await read { database in
            try Int64.fetchOne(database, sql: "SELECT min(next_attempt_at) FROM node_logouts WHERE status = 'pending'")
        }
        .map { Timestamp(millisecondsSinceEpoch: $0) }
    }

    /// How many logout jobs were added by this process; a level to wait on.
    package var logoutLevel: Int64 { logoutSignal.level }

    /// Returns when logout jobs were added since `level` was read, or the task is cancelled.
    package func waitForLogouts(after level: Int64) async -> Int64 { await logoutSignal.wait(above: level) }

    /// Records how an attempt ended, on the VM too, with `vm.network.removed` when the job is over.
    ///
    /// - Throws: `notFound`.
    package func finishLogout(_ id: Int64, _ outcome: NodeLogoutOutcome, now: Timestamp) async throws(StoreError) {
        try await write { transaction in
            guard
                let row = try Row.fetchOne(
                    transaction.database,
                    sql: "SELECT vm_id FROM node_logouts WHERE id = ?",
                    arguments: [id]
                )
            else { throw StoreError.notFound }
            let vm = try row.parsed("vm_id") { VMID($0) }
            let status: CleanupState
            var failure: String?
            switch outcome {
            case .done: status = .done
            case .gaveUp(let error):
                status = .gaveUp
                failure = error
            case .retry(let moment, let error):
                try transaction.execute(
                    "UPDATE node_logouts SET attempts = attempts + 1, next_attempt_at = ?, last_error = ? WHERE id = ?",
                    [moment.millisecondsSinceEpoch, error, id]
                )
                return
            }
            try transaction.execute(
                """
                UPDATE node_logouts SET status = ?, attempts = attempts + 1, sealed_keys = NULL, next_attempt_at = NULL,
                    last_error = ? WHERE id = ?
                """,
                [status.rawValue, failure, id]
            )
            guard try transaction.vm(vm) != nil else { return }
            _ = try transaction.change(vm, now: now) { record in
                if record.deletedAt != nil { record.status.network?.cleanup = status }
                return [
                    EventDraft(.networkRemoved, ["cleanup": .string(status.rawValue), "error": .optional(failure)])
                ]
            }
        }
    }

    /// Changes what a VM is to be, and the secrets that go with it, with `vm.updated`.
    ///
    /// - Parameters:
    ///   - id: The VM.
    ///   - givesUpIdentity: Whether its node becomes another one, as when its control server changes: a job logs the old one out.
    ///   - now: The time.
    ///   - change: Edits both.
    /// - Returns: The VM after it.
    /// - Throws: `notFound`, `nameTaken`.
    package func editVM(
        _ id: VMID,
        givingUpIdentity givesUpIdentity: Bool = false,
        now: Timestamp,
        _ change: @Sendable (inout VMRecord, inout VMSecrets) -> Void
    ) async throws(StoreError) -> VMRecord {
        try await write { transaction in
            var secrets = try transaction.secrets(of: id) ?? VMSecrets()
            let record = try transaction.change(id, now: now) { record in
                change(&record, &secrets)
                return [EventDraft(.updated)]
            }
            try transaction.save(secrets, of: id)
            if givesUpIdentity, let old = try transaction.identity(of: id) {
                if old.isRegistered { try transaction.addLogout(of: old, vm: id, now: now) }
                try transaction.execute("DELETE FROM node_identities WHERE vm_id = ?", [id.description])
            }
            return record
        }
    }
}

extension StoreTransaction {
    /// Adds a job that is due at once.
    mutating func addLogout(of identity: NodeIdentityRecord, vm: VMID, now: Timestamp) throws {
        try execute(
            """
            INSERT INTO node_logouts (vm_id, control, sealed_keys, status, attempts, created_at, next_attempt_at)
            VALUES (?, ?, ?, 'pending', 0, ?, ?)
            """,
            [
                vm.description, identity.control.description, try seal(NodeKeysDocument(identity), for: .keys(of: vm)),
                now.millisecondsSinceEpoch, now.millisecondsSinceEpoch,
            ]
        )
        hasLogouts = true
    }
}

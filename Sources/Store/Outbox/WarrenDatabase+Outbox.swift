import Foundation
import GRDB
import NetTypes
package import WarrenModel

extension WarrenDatabase {
    /// The first pending delivery of every queue that is due, oldest first, leaving out queues that are `busy`.
    package func dueDeliveries(
        now: Timestamp,
        limit: Int,
        busy: Set<DeliveryQueue> = []
    ) async throws(StoreError) -> [OutboxRecord] {
        let vault = vault
        let (records, orphans) = try await read { database in
            // Each queue's head alone counts: a later delivery never overtakes one that waits for its retry.
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT outbox.*, vms.sealed_secrets FROM outbox JOIN vms ON vms.id = outbox.vm_id
                    WHERE number IN (SELECT min(number) FROM outbox WHERE status = 'pending' GROUP BY vm_id, endpoint)
                        AND next_attempt_at <= ?
                    ORDER BY next_attempt_at, number
                    """,
                arguments: [now.millisecondsSinceEpoch]
            )
            var records: [OutboxRecord] = []
            var orphans: [Int64] = []
            while records.count < limit, let row = try rows.next() {
                let queue = try DeliveryQueue(row)
                guard !busy.contains(queue) else { continue }
                if let record = try OutboxRecord(row, queue: queue, vault: vault) {
                    records.append(record)
                } else {
                    orphans.append(row["number"])
                }
            }
            return (records, orphans)
        }
        if !orphans.isEmpty {
            try await write { transaction in
                for number in orphans { try transaction.close(number, .failed, onlyPending: true, now: now) }
            }
        }
        return records
    }

    /// When the head of a queue that is not `busy` is due next, or nil when nothing is pending.
    package func nextDelivery(busy: Set<DeliveryQueue> = []) async throws(StoreError) -> Timestamp? {
        try await read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT vm_id, endpoint, next_attempt_at FROM outbox
                    WHERE number IN (SELECT min(number) FROM outbox WHERE status = 'pending' GROUP BY vm_id, endpoint)
                    ORDER BY next_attempt_at
                    """
            )
            while let row = try rows.next() {
                if !busy.contains(try DeliveryQueue(row)) { return row.timestamp("next_attempt_at") }
            }
            return nil
        }
    }

    /// How often deliveries were added by this process; a level to wait on.
    package var outboxLevel: Int64 { outboxSignal.level }

    /// Returns when deliveries were added since `level` was read, or the task is cancelled.
    package func waitForDeliveries(after level: Int64) async -> Int64 { await outboxSignal.wait(above: level) }

    /// Records an attempt and what follows from it.
    ///
    /// A delivery that was superseded while it was under way stays so, unless it got through.
    package func finishAttempt(
        of id: DeliveryID,
        _ attempt: DeliveryAttempt,
        outcome: DeliveryOutcome,
        now: Timestamp
    ) async throws(StoreError) {
        try await write { transaction in
            guard
                let row = try Row.fetchOne(
                    transaction.database,
                    sql: "SELECT * FROM outbox WHERE id = ?",
                    arguments: [id.description]
                )
            else { return }
            let number: Int64 = row["number"]
            let attempts: Int = row["attempts"]
            try transaction.execute(
                """
                INSERT INTO delivery_attempts (outbox_number, attempt, started_at, latency_ms, status, error)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
                [
                    number, attempts + 1, attempt.startedAt.millisecondsSinceEpoch, attempt.latency.wholeMilliseconds,
                    attempt.status, attempt.error,
                ]
            )
            try transaction.execute("UPDATE outbox SET attempts = attempts + 1 WHERE number = ?", [number])
            switch outcome {
            case .delivered: try transaction.close(number, .delivered, now: now)
            case .failed: try transaction.close(number, .failed, onlyPending: true, now: now)
            case .retry(let moment):
                try transaction.execute(
                    "UPDATE outbox SET next_attempt_at = ? WHERE number = ? AND status = 'pending'",
                    [moment.millisecondsSinceEpoch, number]
                )
            case .disabled:
                try transaction.execute(
                    """
                    INSERT INTO disabled_endpoints (vm_id, endpoint, url, disabled_at)
                    SELECT vm_id, endpoint, url, ? FROM outbox WHERE number = ? ON CONFLICT DO NOTHING
                    """,
                    [now.millisecondsSinceEpoch, number]
                )
                try transaction.execute(
                    """
                    UPDATE outbox SET status = 'disabled', finished_at = ?, next_attempt_at = NULL, sealed_login_url = NULL
                    WHERE status = 'pending' AND (vm_id, endpoint, url)
                        = (SELECT vm_id, endpoint, url FROM outbox WHERE number = ?)
                    """,
                    [now.millisecondsSinceEpoch, number]
                )
            }
        }
    }

    /// Deliveries, oldest first, after the one numbered `after`.
    package func deliveries(
        vm: VMID? = nil,
        endpoint: DeliveryEndpoint? = nil,
        status: DeliveryStatus? = nil,
        after: Int64 = 0,
        limit: Int
    ) async throws(StoreError) -> [DeliveryReport] {
        try await read { database in
            var conditions = "number > ?"
            var arguments: StatementArguments = [after]
            for (column, value) in [
                ("vm_id", vm?.description), ("endpoint", endpoint?.description), ("status", status?.rawValue),
            ] {
                guard let value else { continue }
                conditions += " AND \(column) = ?"
                arguments += [value]
            }
            arguments += [limit]
            return try Row.fetchAll(
                database,
                sql: "SELECT * FROM outbox WHERE \(conditions) ORDER BY number LIMIT ?",
                arguments: arguments
            )
            .map { try DeliveryReport($0, in: database) }
        }
    }

    /// Forgets deliveries that were over before `limit`.
    package func trimDeliveries(finishedBefore limit: Timestamp) async throws(StoreError) {
        try await write { transaction in
            try transaction.execute("DELETE FROM outbox WHERE finished_at < ?", [limit.millisecondsSinceEpoch])
        }
    }
}

extension StoreTransaction {
    fileprivate func close(
        _ number: Int64,
        _ status: DeliveryStatus,
        onlyPending: Bool = false,
        now: Timestamp
    ) throws {
        try execute(
            """
            UPDATE outbox SET status = ?, finished_at = ?, next_attempt_at = NULL, sealed_login_url = NULL
            WHERE number = ? \(onlyPending ? "AND status = 'pending'" : "")
            """,
            [status.rawValue, now.millisecondsSinceEpoch, number]
        )
    }
}

extension DeliveryQueue {
    fileprivate init(_ row: Row) throws {
        self.init(
            vmID: try row.parsed("vm_id") { VMID($0) },
            endpoint: try row.parsed("endpoint") { DeliveryEndpoint($0) }
        )
    }
}

extension OutboxRecord {
    /// Nil when the endpoint was taken from the VM meanwhile, so that nothing is left to sign with.
    fileprivate init?(_ row: Row, queue: DeliveryQueue, vault: SecretVault) throws {
        let id = try row.parsed("id") { DeliveryID($0) }
        let secrets = try vault.open(VMSecrets.self, row["sealed_secrets"] as Data, for: .secrets(of: queue.vmID))
        guard case .callback(let kind) = queue.endpoint, let own = secrets.callbacks[kind] else { return nil }
        var payload = try ModelJSON.decode(JSONTree.self, from: row["payload"] as String)
        if let loginURL = try vault.openText(row["sealed_login_url"], for: .loginURL(of: id)),
            case .object(var members) = payload, case .object(var data) = members["data"]
        {
            data["loginUrl"] = .string(loginURL)
            members["data"] = .object(data)
            payload = .object(members)
        }
        self.init(
            id: id,
            queue: queue,
            eventID: try row.parsed("event_id") { EventID($0) },
            eventType: try row.parsed("event_type") { EventType(rawValue: $0) },
            url: try row.parsed("url") { WebURL($0) },
            body: try ModelJSON.bytes(payload),
            secrets: own,
            attempts: row["attempts"],
            createdAt: row.timestamp("created_at"),
            dueAt: row.timestamp("next_attempt_at")
        )
    }
}

extension DeliveryReport {
    fileprivate init(_ row: Row, in database: Database) throws {
        let number: Int64 = row["number"]
        let attempts = try Row.fetchAll(
            database,
            sql: "SELECT * FROM delivery_attempts WHERE outbox_number = ? ORDER BY attempt",
            arguments: [number]
        )
        self.init(
            id: try row.parsed("id") { DeliveryID($0) },
            number: number,
            queue: try DeliveryQueue(row),
            eventID: try row.parsed("event_id") { EventID($0) },
            eventType: try row.parsed("event_type") { EventType(rawValue: $0) },
            url: try row.parsed("url") { WebURL($0) },
            status: try row.parsed("status") { DeliveryStatus(rawValue: $0) },
            attempts: attempts.map { attempt in
                DeliveryAttempt(
                    startedAt: attempt.timestamp("started_at"),
                    latency: .milliseconds(attempt["latency_ms"] as Int64),
                    status: attempt["status"],
                    error: attempt["error"]
                )
            },
            createdAt: row.timestamp("created_at"),
            nextAttemptAt: row.optionalTimestamp("next_attempt_at"),
            finishedAt: row.optionalTimestamp("finished_at")
        )
    }
}

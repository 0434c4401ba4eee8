import Foundation
import GRDB
import NetTypes
package import WarrenModel

extension WarrenDatabase {
    /// The events after a sequence number; nil begins with the oldest that is kept.
    ///
    /// - Throws: `eventsTrimmed` when events after `after` are gone.
    package func events(
        after: Int64?,
        filter: EventFilter = EventFilter(),
        limit: Int
    ) async throws(StoreError) -> EventPage {
        let vault = vault
        return try await read { database in
            let trimmed =
                try Int64.fetchOne(database, sql: "SELECT value FROM facts WHERE name = 'events-trimmed'") ?? 0
            if let after, after < trimmed { throw StoreError.eventsTrimmed(oldest: trimmed + 1) }
            let start = after ?? trimmed
            var conditions = "seq > ?"
            var arguments: StatementArguments = [start]
            if let vm = filter.vm {
                conditions += " AND vm_id = ?"
                arguments += [vm.description]
            }
            if let types = filter.types {
                conditions += " AND type IN (\(types.map { _ in "?" }.joined(separator: ",")))"
                arguments += StatementArguments(types.map(\.rawValue))
            }
            arguments += [limit + 1]
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT * FROM events WHERE \(conditions) ORDER BY seq LIMIT ?",
                arguments: arguments
            )
            let records = try rows.prefix(limit).map { try EventRecord($0, vault: vault) }
            let hasMore = rows.count > limit
            // A full page ends at its last event; otherwise everything up to now was looked at, filtered out or not.
            let latest = try Int64.fetchOne(database, sql: "SELECT max(seq) FROM events") ?? start
            return EventPage(
                records: records,
                position: hasMore ? records.last?.event.seq ?? start : max(start, latest),
                hasMore: hasMore
            )
        }
    }

    /// The sequence number of the newest event; a level to wait on.
    package var latestEvent: Int64 { eventSignal.level }

    /// Returns when there is an event after `position`, or the task is cancelled.
    package func waitForEvents(after position: Int64) async -> Int64 { await eventSignal.wait(above: position) }

    /// Records something that happened to a VM without changing it.
    ///
    /// - Throws: `notFound`.
    package func append(_ draft: EventDraft, about id: VMID, now: Timestamp) async throws(StoreError) {
        try await write { transaction in
            guard let record = try transaction.vm(id) else { throw StoreError.notFound }
            try transaction.record(draft, about: record, now: now)
        }
    }

    /// Forgets all but the newest `count` events; readers that are further behind are told so.
    package func trimEvents(keeping count: Int) async throws(StoreError) {
        try await write { transaction in
            let limit = try Int64.fetchOne(
                transaction.database,
                sql: "SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET ?",
                arguments: [count]
            )
            guard let limit else { return }
            try transaction.execute("DELETE FROM events WHERE seq <= ?", [limit])
            try transaction.execute(
                """
                INSERT INTO facts (name, value) VALUES ('events-trimmed', ?)
                ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
                """,
                [limit]
            )
        }
    }
}

extension StoreTransaction {
    /// Writes an event and the deliveries that it causes.
    mutating func record(_ draft: EventDraft, about vm: VMRecord, now: Timestamp) throws {
        var data = draft.details
        data["vm"] = [
            "id": .string(vm.id.description), "name": .string(vm.spec.name.text),
            "labels": .object(vm.spec.labels.mapValues(JSONTree.string)),
        ]
        let loginURL = data["loginUrl"]?.string
        let id = EventID(now: now)
        // A login replaced by another is void, wherever it was written.
        if loginURL != nil { try endLogin(of: vm.id, now: now) }
        let event = Event(id: id, seq: 0, type: draft.type, timestamp: now, data: JSONTree.object(data).maskingLoginURL)
        try execute(
            "INSERT INTO events (id, vm_id, type, timestamp, data, sealed_login_url) VALUES (?, ?, ?, ?, ?, ?)",
            [
                id.description, vm.id.description, draft.type.rawValue, now.millisecondsSinceEpoch,
                try ModelJSON.text(event.data), try vault.sealText(loginURL, for: .loginURL(of: id)),
            ]
        )
        latestEvent = database.lastInsertedRowID
        if let kind = draft.type.callback, let callback = vm.spec.networkInterface?.callbacks[kind] {
            try addDelivery(
                of: event,
                loginURL: loginURL,
                vm: vm.id,
                endpoint: .callback(kind),
                url: callback.url,
                now: now
            )
        }
    }

    /// Masks the login URLs of a VM in events and deliveries, and supersedes what was not delivered.
    mutating func endLogin(of vm: VMID, now: Timestamp) throws {
        try execute(
            "UPDATE events SET sealed_login_url = NULL WHERE vm_id = ? AND sealed_login_url IS NOT NULL",
            [vm.description]
        )
        try execute(
            """
            UPDATE outbox SET status = 'superseded', finished_at = ?, next_attempt_at = NULL
            WHERE vm_id = ? AND status = 'pending' AND event_type = ?
            """,
            [now.millisecondsSinceEpoch, vm.description, EventType.networkLoginRequired.rawValue]
        )
        try execute(
            "UPDATE outbox SET sealed_login_url = NULL WHERE vm_id = ? AND sealed_login_url IS NOT NULL",
            [vm.description]
        )
    }
}

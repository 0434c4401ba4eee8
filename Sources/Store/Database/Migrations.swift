import GRDB

/// The steps that bring a database to the schema of this version; a step never changes once it was released.
enum Migrations {
    /// Marks the file as ours: "WRRN".
    static let applicationID: Int32 = 0x5752_524E

    /// The schema that this version reads and writes.
    static var schemaVersion: Int { steps.count }

    /// Each step brings the schema from its index to the next number.
    static let steps: [@Sendable (Database) throws -> Void] = [createFirstSchema, addCoordinationDocuments]

    /// Runs what is missing, each step in a transaction of its own together with its number.
    static func migrate(_ database: Database) throws {
        let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        for (number, step) in steps.enumerated().dropFirst(found) {
            try database.inTransaction {
                try step(database)
                try database.execute(sql: "PRAGMA application_id = \(applicationID)")
                try database.execute(sql: "PRAGMA user_version = \(number + 1)")
                return .commit
            }
        }
    }

    private static func createFirstSchema(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
                CREATE TABLE vms (
                    id TEXT PRIMARY KEY, name TEXT NOT NULL, spec TEXT NOT NULL, status TEXT NOT NULL,
                    runtime TEXT NOT NULL, sealed_secrets BLOB NOT NULL, sealed_login_url BLOB,
                    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER
                ) STRICT;
                CREATE UNIQUE INDEX vms_by_live_name ON vms (name) WHERE deleted_at IS NULL;
                CREATE TABLE node_identities (
                    vm_id TEXT PRIMARY KEY REFERENCES vms (id) ON DELETE CASCADE, control TEXT NOT NULL,
                    node_key TEXT NOT NULL, registered INTEGER NOT NULL, details TEXT NOT NULL, sealed_keys BLOB NOT NULL
                ) STRICT;
                CREATE TABLE node_logouts (
                    id INTEGER PRIMARY KEY AUTOINCREMENT, vm_id TEXT NOT NULL, control TEXT NOT NULL,
                    sealed_keys BLOB, status TEXT NOT NULL, attempts INTEGER NOT NULL, last_error TEXT,
                    created_at INTEGER NOT NULL, next_attempt_at INTEGER
                ) STRICT;
                CREATE INDEX node_logouts_due ON node_logouts (next_attempt_at) WHERE status = 'pending';
                CREATE TABLE events (
                    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, vm_id TEXT, type TEXT NOT NULL,
                    timestamp INTEGER NOT NULL, data TEXT NOT NULL, sealed_login_url BLOB
                ) STRICT;
                CREATE INDEX events_by_vm ON events (vm_id, seq);
                CREATE INDEX events_with_login_url ON events (vm_id) WHERE sealed_login_url IS NOT NULL;
                CREATE TABLE outbox (
                    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, event_id TEXT NOT NULL,
                    event_type TEXT NOT NULL, vm_id TEXT NOT NULL, endpoint TEXT NOT NULL, url TEXT NOT NULL,
                    payload TEXT NOT NULL, sealed_login_url BLOB, status TEXT NOT NULL, attempts INTEGER NOT NULL,
                    created_at INTEGER NOT NULL, next_attempt_at INTEGER, finished_at INTEGER
                ) STRICT;
                CREATE INDEX outbox_pending ON outbox (vm_id, endpoint, number) WHERE status = 'pending';
                CREATE INDEX outbox_by_vm ON outbox (vm_id, number);
                CREATE TABLE delivery_attempts (
                    outbox_number INTEGER NOT NULL REFERENCES outbox (number) ON DELETE CASCADE, attempt INTEGER NOT NULL,
                    started_at INTEGER NOT NULL, latency_ms INTEGER NOT NULL, status INTEGER, error TEXT,
                    PRIMARY KEY (outbox_number, attempt)
                ) WITHOUT ROWID, STRICT;
                CREATE TABLE disabled_endpoints (
                    vm_id TEXT NOT NULL, endpoint TEXT NOT NULL, url TEXT NOT NULL, disabled_at INTEGER NOT NULL,
                    PRIMARY KEY (vm_id, endpoint, url)
                ) WITHOUT ROWID, STRICT;
                CREATE TABLE api_tokens (
                    id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, scopes TEXT NOT NULL, vm_id TEXT,
                    created_at INTEGER NOT NULL, expires_at INTEGER
                ) STRICT;
                CREATE TABLE idempotency_keys (
                    scope TEXT NOT NULL, key TEXT NOT NULL, body_hash BLOB NOT NULL, sealed_response BLOB,
                    created_at INTEGER NOT NULL, PRIMARY KEY (scope, key)
                ) WITHOUT ROWID, STRICT;
                CREATE TABLE coordination_keys (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID, STRICT;
                CREATE TABLE coordination_nodes (
                    id INTEGER PRIMARY KEY, node_key TEXT NOT NULL UNIQUE, machine_key TEXT NOT NULL, document TEXT NOT NULL
                ) STRICT;
                CREATE TABLE coordination_auth_keys (
                    id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, document TEXT NOT NULL
                ) STRICT;
                CREATE TABLE coordination_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
                """
        )
    }

    /// What an administrator of the embedded tailnet decides; nodes and keys of before get the members that came with it.
    private static func addCoordinationDocuments(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE coordination_documents (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID, STRICT;
                UPDATE coordination_nodes SET document = json_set(document,
                    '$.isApproved', json('true'), '$.approvedRoutes', json('[]'), '$.primaryRoutes', json('[]'));
                UPDATE coordination_auth_keys SET document = json_set(document,
                    '$.isPreapproved', json('false'),
                    '$.useCount', CASE WHEN json_type(document, '$.use') = 'object' THEN 1 ELSE 0 END);
                """
        )
    }
}

import Foundation
import GRDB
import Glibc
package import Logging
import NetTypes
import WarrenModel

/// The durable state of one host in one SQLite file.
///
/// Every method is one transaction: it happens whole or, after a crash or an error, not at all.
package final class WarrenDatabase: Sendable {
    /// Where the file is.
    package let path: String
    /// The connections: one writes, several read.
    let pool: DatabasePool
    /// Seals what must not lie in clear.
    let vault: SecretVault
    /// Where the store logs.
    let logger: Logger
    /// The number of the newest event.
    let eventSignal: LevelSignal
    /// How often deliveries were added.
    let outboxSignal: LevelSignal
    /// How often logout jobs were added.
    let logoutSignal: LevelSignal

    /// Opens or makes `warren.sqlite` and `secret.key` in a state directory that exists.
    ///
    /// - Throws: one of the first nine cases of `StoreError`; a file that cannot be used is left as it is.
    package init(stateDirectory: String, logger: Logger) throws(StoreError) {
        let path = stateDirectory + "/warren.sqlite"
        self.path = path
        self.logger = logger
        let isNew = try Self.inspect(path: path)
        vault = try SecretVault(path: stateDirectory + "/secret.key", mayCreate: isNew)
        if isNew { try Self.createFile(path: path) }
        do {
            let pool = try DatabasePool(path: path, configuration: Self.configuration)
            self.pool = pool
            let latest = try pool.writeWithoutTransaction { database in
                try Self.makeDurable(database, path: path)
                try Migrations.migrate(database)
                // A daemon that died in the middle of a request will never finish it.
                try database.execute(sql: "DELETE FROM idempotency_keys WHERE sealed_response IS NULL")
                return try Int64.fetchOne(database, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'events'") ?? 0
            }
            eventSignal = LevelSignal(level: latest)
            outboxSignal = LevelSignal(level: 0)
            logoutSignal = LevelSignal(level: 0)
        } catch {
            throw StoreError(error, path: path)
        }
        try checkKey()
        logger.info(
            "database opened",
            metadata: ["path": "\(path)", "schema": "\(Migrations.schemaVersion)", "new": "\(isNew)"]
        )
    }

    /// Closes the file; everything after fails.
    package func close() throws(StoreError) {
        do { try pool.close() } catch { throw StoreError(error, path: path) }
    }

    /// Whether the database answers, for `readyz`.
    package func check() async throws(StoreError) {
        _ = try await read { try Int.fetchOne($0, sql: "SELECT count(*) FROM facts") }
    }

    /// Reads in one snapshot.
    func read<Value: Sendable>(_ body: @Sendable (Database) throws -> Value) async throws(StoreError) -> Value {
        do { return try await pool.read(body) } catch { throw StoreError(error, path: path) }
    }

    /// Runs one transaction, and afterwards wakes those who wait for what it added.
    func write<Value: Sendable>(
        _ body: @Sendable (inout StoreTransaction) throws -> Value
    ) async throws(StoreError) -> Value {
        do {
            let vault = vault
            let (value, latest, hasDeliveries, hasLogouts) = try await pool.write { database in
                var transaction = StoreTransaction(database: database, vault: vault)
                let value = try body(&transaction)
                return (value, transaction.latestEvent, transaction.hasDeliveries, transaction.hasLogouts)
            }
            if let latest { eventSignal.raise(to: latest) }
            if hasDeliveries { outboxSignal.raise() }
            if hasLogouts { logoutSignal.raise() }
            return value
        } catch {
            throw StoreError(error, path: path)
        }
    }

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.label = "warren"
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 4
        return configuration
    }

    /// Looks at the file without changing it; answers whether there is nothing in it yet.
    private static func inspect(path: String) throws(StoreError) -> Bool {
        var status = stat()
        if stat(path, &status) != 0 {
            guard errno == ENOENT else { throw .unwritable(path: path) }
            return true
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .foreignFile(path: path) }
        if status.st_size == 0 { return true }
        do {
            var configuration = configuration
            configuration.readonly = true
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? queue.close() }  // Nothing was written; there is nothing to lose.
            return try queue.read { database in
                let application = try Int32.fetchOne(database, sql: "PRAGMA application_id")
                // A daemon that died between making the file and its first transaction left a header and nothing else.
                let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master")
                if application == 0, count == 0 { return true }
                guard application == Migrations.applicationID else { throw StoreError.foreignFile(path: path) }
                let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
                guard version <= Migrations.schemaVersion else {
                    throw StoreError.newerSchema(found: version, supported: Migrations.schemaVersion)
                }
                guard try String.fetchOne(database, sql: "PRAGMA quick_check(1)") == "ok" else {
                    throw StoreError.corrupt(path: path)
                }
                return false
            }
        } catch {
            throw StoreError(error, path: path)
        }
    }

    // SQLite gives its companions the mode of the file, so the file is made before SQLite would make it by umask.
    private static func createFile(path: String) throws(StoreError) {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw errno == ENOSPC ? .diskFull : .unwritable(path: path) }
        fchmod(descriptor, 0o600)
        Glibc.close(descriptor)
    }

    // The library's WAL set-up ends with synchronous=NORMAL, which loses the last transactions at a power cut.
    private static func makeDurable(_ database: Database, path: String) throws {
        try database.execute(sql: "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
        guard try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2,
            try String.fetchOne(database, sql: "PRAGMA journal_mode") == "wal"
        else { throw StoreError.unwritable(path: path) }
    }

    /// A known text sealed once tells a wrong `secret.key` at start, not when the first secret is needed.
    private func checkKey() throws(StoreError) {
        do {
            let vault = vault
            try pool.write { database in
                let stored = try Data.fetchOne(
                    database,
                    sql: "SELECT sealed FROM coordination_keys WHERE name = ?",
                    arguments: [Self.probe]
                )
                if let stored {
                    _ = try vault.open(Array(stored), for: Self.probe)
                } else {
                    try database.execute(
                        sql: "INSERT INTO coordination_keys (name, sealed) VALUES (?, ?)",
                        arguments: [Self.probe, Data(try vault.seal([1], for: Self.probe))]
                    )
                }
            }
        } catch {
            throw StoreError(error, path: path)
        }
    }

    private static let probe = "vault-probe"
}

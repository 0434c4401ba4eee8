import Foundation
import GRDB
import WarrenModel

/// One write transaction, and what it adds that others wait for.
struct StoreTransaction {
    /// The connection inside the transaction.
    let database: Database
    /// Seals what must not lie in clear.
    let vault: SecretVault
    /// The newest event written, if any.
    var latestEvent: Int64?
    /// Whether deliveries were added or made due.
    var hasDeliveries = false
    /// Whether logout jobs were added.
    var hasLogouts = false

    /// A transaction that has changed nothing yet.
    init(database: Database, vault: SecretVault) {
        self.database = database
        self.vault = vault
    }

    /// Runs one statement.
    func execute(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws {
        try database.execute(sql: sql, arguments: arguments)
    }

    /// Seals the JSON of a value for one place.
    func seal(_ value: some Encodable, for place: String) throws -> Data {
        Data(try vault.seal(ModelJSON.bytes(value), for: place))
    }
}

extension SecretVault {
    /// Opens what `StoreTransaction.seal` made.
    func open<Value: Decodable>(_ type: Value.Type, _ sealed: Data, for place: String) throws -> Value {
        try ModelJSON.decode(type, from: open(Array(sealed), for: place))
    }

    /// Opens a sealed text, or nil for none.
    func openText(_ sealed: Data?, for place: String) throws -> String? {
        try sealed.map { String(decoding: try open(Array($0), for: place), as: UTF8.self) }
    }

    /// Seals a text, or nil for none.
    func sealText(_ text: String?, for place: String) throws -> Data? {
        try text.map { Data(try seal(Array($0.utf8), for: place)) }
    }
}

extension Row {
    /// A moment stored as milliseconds.
    func timestamp(_ column: String) -> Timestamp {
        Timestamp(millisecondsSinceEpoch: self[column])
    }

    /// A moment stored as milliseconds, or nil.
    func optionalTimestamp(_ column: String) -> Timestamp? {
        (self[column] as Int64?).map { Timestamp(millisecondsSinceEpoch: $0) }
    }

    /// A column whose text `parse` must understand; otherwise the row is damaged.
    func parsed<Value>(_ column: String, _ parse: (String) -> Value?) throws -> Value {
        let text: String = self[column]
        guard let value = parse(text) else {
            throw StoreError.failed(code: -1, message: "column \(column) holds something unknown")
        }
        return value
    }
}

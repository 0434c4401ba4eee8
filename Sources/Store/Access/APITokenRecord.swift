import Foundation
import GRDB
import WarrenCrypto
package import WarrenModel

/// What a bearer token is allowed; the token itself is not stored.
package struct APITokenRecord: Equatable, Sendable {
    /// Names the token.
    package let id: TokenID
    /// What people call it.
    package let name: String
    /// What it allows.
    package let scopes: Set<APIScope>
    /// The only VM it is good for, or nil.
    package let vmID: VMID?
    /// When it was made.
    package let createdAt: Timestamp
    /// When it ends, or nil.
    package let expiresAt: Timestamp?

    /// What every token begins with.
    package static let prefix = "wrn_"

    /// The token as lists show it.
    package var answer: APITokenAnswer {
        APITokenAnswer(
            id: id,
            name: name,
            scopes: scopes.sorted { $0.rawValue < $1.rawValue },
            vm: vmID,
            createdAt: createdAt,
            expiresAt: expiresAt
        )
    }
}

extension WarrenDatabase {
    /// Makes a token of 32 random octets and keeps its hash; the text is returned once and never again.
    package func createToken(
        name: String,
        scopes: Set<APIScope>,
        vm: VMID? = nil,
        expiresAt: Timestamp? = nil,
        now: Timestamp
    ) async throws(StoreError) -> (record: APITokenRecord, token: SecretText) {
        let random = Data(RandomBytes.make(count: 32)).base64EncodedString()
        let text =
            APITokenRecord.prefix
            + random.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        let record = APITokenRecord(
            id: TokenID(now: now),
            name: name,
            scopes: scopes,
            vmID: vm,
            createdAt: now,
            expiresAt: expiresAt
        )
        try await write { transaction in
            try transaction.execute(
                "INSERT INTO api_tokens (id, name, hash, scopes, vm_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    record.id.description, name, Data(TokenHash(of: text).bytes),
                    record.scopes.map(\.rawValue).sorted().joined(separator: " "), vm?.description,
                    now.millisecondsSinceEpoch, expiresAt?.millisecondsSinceEpoch,
                ]
            )
        }
        return (record, SecretText(text))
    }

    /// The token with this text, unless it ended; the look-up is by hash, so timing tells nothing about stored tokens.
    package func token(matching text: String, now: Timestamp) async throws(StoreError) -> APITokenRecord? {
        guard text.hasPrefix(APITokenRecord.prefix), text.utf8.count <= 128 else { return nil }
        let hash = Data(TokenHash(of: text).bytes)
        let record = try await read { database in
            try Row.fetchOne(database, sql: "SELECT * FROM api_tokens WHERE hash = ?", arguments: [hash])
                .map(APITokenRecord.init)
        }
        guard let record, record.expiresAt.map({ now < $0 }) ?? true else { return nil }
        return record
    }

    /// All tokens, oldest first.
    package func tokens() async throws(StoreError) -> [APITokenRecord] {
        try await read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM api_tokens ORDER BY id").map(APITokenRecord.init)
        }
    }

    /// Forgets a token; answers whether there was one.
    package func deleteToken(_ id: TokenID) async throws(StoreError) -> Bool {
        try await write { transaction in
            try transaction.execute("DELETE FROM api_tokens WHERE id = ?", [id.description])
            return transaction.database.changesCount > 0
        }
    }
}

extension APITokenRecord {
    fileprivate init(_ row: Row) throws {
        self.init(
            id: try row.parsed("id") { TokenID($0) },
            name: row["name"],
            scopes: Set((row["scopes"] as String).split(separator: " ").compactMap { APIScope(rawValue: String($0)) }),
            vmID: (row["vm_id"] as String?).flatMap { VMID($0) },
            createdAt: row.timestamp("created_at"),
            expiresAt: row.optionalTimestamp("expires_at")
        )
    }
}

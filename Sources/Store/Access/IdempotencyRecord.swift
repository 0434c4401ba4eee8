import Foundation
import GRDB
import WarrenCrypto
package import WarrenModel

/// Who used which `Idempotency-Key` for what.
package struct IdempotencyKey: Hashable, Sendable {
    /// The token, or what stands for the Unix socket.
    package let client: String
    /// The method of the request.
    package let method: String
    /// The path of the request.
    package let path: String
    /// The key as the client sent it.
    package let key: String

    /// Joins the parts.
    package init(client: String, method: String, path: String, key: String) {
        self.client = client
        self.method = method
        self.path = path
        self.key = key
    }

    fileprivate var scope: String { "\(client) \(method) \(path)" }
    fileprivate var place: String { "idempotency.response/\(scope) \(key)" }
}

/// A response that is kept to be given again.
package struct StoredResponse: Equatable, Sendable, Codable {
    /// The status.
    package var status: Int
    /// Header fields in order.
    package var headers: [[String]]
    /// The body.
    package var body: [UInt8]

    /// Joins the parts.
    package init(status: Int, headers: [[String]], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// What a key means for the request that carries it.
package enum IdempotencyVerdict: Equatable, Sendable {
    /// It is new, and reserved from now on; call `completeRequest` or `abandonRequest`.
    case first
    /// The same request was answered before, like this.
    case replay(StoredResponse)
    /// The same request still runs.
    case inProgress
    /// The key belongs to a request with another body.
    case reused
}

extension WarrenDatabase {
    /// How long a key is remembered.
    package static let idempotencyLifetime = Duration.seconds(86_400)

    /// Reserves a key, or tells what became of the request that had it first.
    package func beginRequest(
        _ key: IdempotencyKey,
        body: [UInt8],
        now: Timestamp
    ) async throws(StoreError) -> IdempotencyVerdict {
        let vault = vault
        let hash = Data(SHA256.hash(body.span))
        return try await write { transaction in
            try transaction.execute(
                "DELETE FROM idempotency_keys WHERE created_at <= ?",
                [now.millisecondsSinceEpoch - Self.idempotencyLifetime.wholeMilliseconds]
            )
            let row = try Row.fetchOne(
                transaction.database,
                sql: "SELECT * FROM idempotency_keys WHERE scope = ? AND key = ?",
                arguments: [key.scope, key.key]
            )
            guard let row else {
                try transaction.execute(
                    "INSERT INTO idempotency_keys (scope, key, body_hash, created_at) VALUES (?, ?, ?, ?)",
                    [key.scope, key.key, hash, now.millisecondsSinceEpoch]
                )
                return .first
            }
            guard row["body_hash"] as Data == hash else { return .reused }
            guard let sealed = row["sealed_response"] as Data? else { return .inProgress }
            return .replay(try vault.open(StoredResponse.self, sealed, for: key.place))
        }
    }

    /// Keeps the response, sealed because it may show a secret.
    package func completeRequest(_ key: IdempotencyKey, _ response: StoredResponse) async throws(StoreError) {
        try await write { transaction in
            try transaction.execute(
                "UPDATE idempotency_keys SET sealed_response = ? WHERE scope = ? AND key = ?",
                [try transaction.seal(response, for: key.place), key.scope, key.key]
            )
        }
    }

    /// Frees a key whose request came to nothing, so that it may be tried again.
    package func abandonRequest(_ key: IdempotencyKey) async throws(StoreError) {
        try await write { transaction in
            try transaction.execute(
                "DELETE FROM idempotency_keys WHERE scope = ? AND key = ? AND sealed_response IS NULL",
                [key.scope, key.key]
            )
        }
    }
}

import Foundation
import WarrenCrypto
package import WarrenModel

/// Signs deliveries as Standard Webhooks describes it (specification 1.0.0, symmetric scheme `v1`).
package struct WebhookSigner: Sendable {
    private let secrets: [WebhookSecret]

    /// Signs with each of these secrets; two while one replaces the other.
    package init(secrets: [WebhookSecret]) {
        self.secrets = secrets
    }

    /// The header fields `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    package func fields(id: EventID, timestamp: Timestamp, body: [UInt8]) -> [(name: String, value: String)] {
        let seconds = timestamp.millisecondsSinceEpoch / 1000
        return [
            ("webhook-id", id.description), ("webhook-timestamp", String(seconds)),
            ("webhook-signature", signature(id: id.description, seconds: seconds, body: body)),
        ]
    }

    /// `v1,<base64 of HMAC-SHA256>` of `id.seconds.body`, once for each secret, with blanks between.
    package func signature(id: String, seconds: Int64, body: [UInt8]) -> String {
        let content = Array("\(id).\(seconds).".utf8) + body
        return secrets.map { secret in
            let code = HMACSHA256.authenticationCode(for: content.span, key: secret.keyBytes.span)
            return "v1," + Data(code).base64EncodedString()
        }
        .joined(separator: " ")
    }
}

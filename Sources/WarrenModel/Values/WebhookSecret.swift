import FoundationEssentials

/// A signing secret of Standard Webhooks: `whsec_` and 24 to 64 octets in base 64.
package struct WebhookSecret: Hashable, Sendable {
    /// The octets that key the HMAC.
    package let keyBytes: [UInt8]

    /// What every secret begins with.
    package static let prefix = "whsec_"
    /// How many octets a key may have.
    package static let byteCounts = 24...64

    /// Wraps a key; nil when its length is not allowed.
    package init?(keyBytes: [UInt8]) {
        guard Self.byteCounts.contains(keyBytes.count) else { return nil }
        self.keyBytes = keyBytes
    }

    /// Reads the text form.
    package init?(_ text: some StringProtocol) {
        guard text.hasPrefix(Self.prefix), text.utf8.count <= 128,
            let key = Data(base64Encoded: String(text.dropFirst(Self.prefix.count)))
        else { return nil }
        self.init(keyBytes: Array(key))
    }

    /// A fresh secret of 32 octets.
    package static func random(using generator: inout some RandomNumberGenerator) -> WebhookSecret {
        WebhookSecret(unchecked: (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    private init(unchecked keyBytes: [UInt8]) { self.keyBytes = keyBytes }

    /// The text form, to be shown once.
    package func reveal() -> String { Self.prefix + Data(keyBytes).base64EncodedString() }
}

extension WebhookSecret: CustomStringConvertible, CustomReflectable {
    /// Never the secret.
    package var description: String { "[redacted]" }
    /// Without children, so that `dump` shows nothing either.
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension WebhookSecret: Codable {
    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = WebhookSecret(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a webhook secret")
        }
        self = value
    }

    /// Writes the secret in clear; only documents that are sealed afterwards may hold one.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(reveal())
    }
}

/// Text that must not reach a log: it describes itself as `[redacted]`.
package struct SecretText: Hashable, Sendable {
    private let text: String

    /// Wraps a secret.
    package init(_ text: String) { self.text = text }

    /// The secret itself, for the one place that needs it.
    package func reveal() -> String { text }
}

extension SecretText: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Never the secret.
    package var description: String { "[redacted]" }
    /// Never the secret.
    package var debugDescription: String { description }
    /// Without children, so that `dump` shows nothing either.
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension SecretText: Codable {
    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        text = try decoder.singleValueContainer().decode(String.self)
    }

    /// Writes the secret in clear; only documents that are sealed afterwards may hold one.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

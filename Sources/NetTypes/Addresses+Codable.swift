/// A value that travels in JSON as its text.
///
/// The conforming types give `init?(_ text:)` and `description`; text that does not parse is a decoding error.
package protocol TextCodable: Codable, CustomStringConvertible {
    /// Parses the text form.
    init?(_ text: String)
}

extension TextCodable {
    /// Reads the text form from a single-value container.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Self(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a \(Self.self)")
        }
        self = value
    }

    /// Writes the text form into a single-value container.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension IPv4Address: TextCodable {}
extension IPv6Address: TextCodable {}
extension IPAddress: TextCodable {}
extension IPPrefix: TextCodable {}
extension AddressPort: TextCodable {}
extension MACAddress: TextCodable {}

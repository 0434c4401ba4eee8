/// A host name of one label in lower case (RFC 1123 §2.1): letters, digits and inner hyphens, 1–63 octets.
package struct DNSLabel: Hashable, Sendable, Comparable {
    /// The label.
    package let text: String

    /// Checks and wraps a label.
    package init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard (1...63).contains(bytes.count), bytes.first != UInt8(ascii: "-"), bytes.last != UInt8(ascii: "-"),
            bytes.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") })
        else { return nil }
        self.text = String(text)
    }

    private init(unchecked text: String) { self.text = text }

    /// A made-up name: `vm-` and six characters that are hard to confuse.
    package static func madeUp(using generator: inout some RandomNumberGenerator) -> DNSLabel {
        let alphabet = Array("abcdefghjkmnpqrstvwxyz23456789")
        let tail = (0..<6).map { _ in alphabet[Int.random(in: alphabet.indices, using: &generator)] }
        return DNSLabel(unchecked: "vm-" + String(tail))
    }

    /// Alphabetic order.
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.text < rhs.text }
}

/// The name of a VM, unique among those that are not deleted.
package typealias VMName = DNSLabel

extension DNSLabel: CustomStringConvertible {
    /// The label.
    package var description: String { text }
}

extension DNSLabel: Codable {
    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = DNSLabel(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a host name label")
        }
        self = value
    }

    /// Writes the JSON form.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

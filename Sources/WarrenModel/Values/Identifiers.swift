/// An identifier whose text is a prefix that names its kind, `_`, and a ULID.
package protocol PrefixedID: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    /// The word before `_`.
    static var prefix: String { get }
    /// The part that tells one from the other.
    var ulid: ULID { get }
    /// The identifier of this kind with `ulid`.
    init(_ ulid: ULID)
}

extension PrefixedID {
    /// A fresh identifier of the moment `now`.
    package init(now: Timestamp, using generator: inout some RandomNumberGenerator) {
        self.init(ULID(now: now, using: &generator))
    }

    /// A fresh identifier of the moment `now`, random by the system.
    package init(now: Timestamp) {
        var generator = SystemRandomNumberGenerator()
        self.init(now: now, using: &generator)
    }

    /// Reads the text form; any other prefix is refused.
    package init?(_ text: some StringProtocol) {
        let head = Self.prefix + "_"
        guard text.hasPrefix(head), let ulid = ULID(text.dropFirst(head.count)) else { return nil }
        self.init(ulid)
    }

    /// The text form.
    package var description: String { "\(Self.prefix)_\(ulid)" }

    /// Order of making.
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.ulid < rhs.ulid }

    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = Self(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a \(Self.prefix)_ identifier")
        }
        self = value
    }

    /// Writes the JSON form.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Identifies a VM for good, also after its deletion.
package struct VMID: PrefixedID {
    /// The word before `_`.
    package static let prefix = "vm"
    /// The part that tells one from the other.
    package let ulid: ULID
    /// The identifier with this part.
    package init(_ ulid: ULID) { self.ulid = ulid }
}

/// Identifies a disk image.
package struct ImageID: PrefixedID {
    /// The word before `_`.
    package static let prefix = "img"
    /// The part that tells one from the other.
    package let ulid: ULID
    /// The identifier with this part.
    package init(_ ulid: ULID) { self.ulid = ulid }
}

/// Identifies an event; deliveries carry it as `webhook-id`.
package struct EventID: PrefixedID {
    /// The word before `_`.
    package static let prefix = "evt"
    /// The part that tells one from the other.
    package let ulid: ULID
    /// The identifier with this part.
    package init(_ ulid: ULID) { self.ulid = ulid }
}

/// Identifies a webhook endpoint.
package struct WebhookID: PrefixedID {
    /// The word before `_`.
    package static let prefix = "whk"
    /// The part that tells one from the other.
    package let ulid: ULID
    /// The identifier with this part.
    package init(_ ulid: ULID) { self.ulid = ulid }
}

/// Identifies the delivery of one event to one endpoint.
package struct DeliveryID: PrefixedID {
    /// The word before `_`.
    package static let prefix = "dlv"
    /// The part that tells one from the other.
    package let ulid: ULID
    /// The identifier with this part.
    package init(_ ulid: ULID) { self.ulid = ulid }
}

/// Identifies an API token without being it.
package struct TokenID: PrefixedID {
    /// The word before `_`.
    package static let prefix = "tok"
    /// The part that tells one from the other.
    package let ulid: ULID
    /// The identifier with this part.
    package init(_ ulid: ULID) { self.ulid = ulid }
}

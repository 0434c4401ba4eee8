/// An integer of control's JSON that is not a number to count with.
///
/// In JSON objects keyed by one, the key is its decimal text.
package protocol ControlIdentifier: RawRepresentable, Hashable, Sendable, Codable, Comparable, CodingKeyRepresentable,
    ExpressibleByIntegerLiteral, CustomStringConvertible
where RawValue == Int64 {
    /// Wraps the wire value.
    init(rawValue: Int64)
}

extension ControlIdentifier {
    /// Wraps a literal.
    package init(integerLiteral value: Int64) { self.init(rawValue: value) }

    /// Reads a JSON number.
    package init(from decoder: any Decoder) throws {
        self.init(rawValue: try decoder.singleValueContainer().decode(Int64.self))
    }

    /// Reads a decimal object key.
    package init?(codingKey: some CodingKey) {
        guard let value = Int64(codingKey.stringValue) else { return nil }
        self.init(rawValue: value)
    }

    /// The decimal object key.
    package var codingKey: any CodingKey { AnyMember(stringValue: description) }

    /// Writes a JSON number.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    /// Numeric order.
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }

    /// The decimal text.
    package var description: String { String(rawValue) }
}

/// A node's number in its tailnet: unique for ever, index of every delta.
package struct NodeID: ControlIdentifier {
    /// The wire value; 0 is no node.
    package let rawValue: Int64
    /// Wraps the wire value.
    package init(rawValue: Int64) { self.rawValue = rawValue }
}

/// A user's number.
package struct UserID: ControlIdentifier {
    /// The wire value; 0 is no user.
    package let rawValue: Int64
    /// Wraps the wire value.
    package init(rawValue: Int64) { self.rawValue = rawValue }
}

/// A DERP region's number; magicsock keeps it in 16 bits, so anything above 65,535 is useless.
package struct DERPRegionID: ControlIdentifier {
    /// The wire value.
    package let rawValue: Int64
    /// Wraps the wire value.
    package init(rawValue: Int64) { self.rawValue = rawValue }

    /// 0: no region known.
    package static let none = DERPRegionID(rawValue: 0)
    /// Whether this is "no region known".
    package var isNone: Bool { rawValue == 0 }
}

/// The increasing integer by which client and server agree on behaviour ("capability version").
package struct CapabilityVersion: ControlIdentifier {
    /// The wire value; 0 is unknown.
    package let rawValue: Int64
    /// Wraps the wire value.
    package init(rawValue: Int64) { self.rawValue = rawValue }

    /// What our own node claims everywhere: `/key?v=`, Noise prologue and JSON alike.
    package static let current = CapabilityVersion(rawValue: 131)
    /// The oldest client our coordination server serves (Tailscale 1.80).
    package static let minimum = CapabilityVersion(rawValue: 113)
}

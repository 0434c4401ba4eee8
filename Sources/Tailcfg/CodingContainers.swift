extension KeyedDecodingContainer {
    /// The member's value, or `fallback` when it is absent or null: Go's "leave the zero value".
    func value<T: Decodable>(_ key: Key, or fallback: T) throws -> T {
        try decodeIfPresent(T.self, forKey: key) ?? fallback
    }

    /// The member's text, empty when absent or null.
    func text(_ key: Key) throws -> String { try value(key, or: "") }

    /// The member's list, empty when absent or null.
    func list<T: Decodable>(_ key: Key) throws -> [T] { try value(key, or: []) }

    /// The member's flag, false when absent or null.
    func flag(_ key: Key) throws -> Bool { try value(key, or: false) }
}

extension KeyedEncodingContainer {
    /// Writes a string, list or map that is not empty (Go's `omitempty`).
    mutating func encode(unlessEmpty value: some Collection & Encodable, forKey key: Key) throws {
        if !value.isEmpty { try encode(value, forKey: key) }
    }

    /// Writes a value that differs from its zero.
    mutating func encode<T: Encodable & Equatable>(_ value: T, unless zero: T, forKey key: Key) throws {
        if value != zero { try encode(value, forKey: key) }
    }

    /// Writes a flag that is set.
    mutating func encode(ifTrue value: Bool, forKey key: Key) throws {
        if value { try encode(true, forKey: key) }
    }
}

/// An element of a list whose broken members are dropped instead of breaking the message.
struct Lenient<Value: Decodable>: Decodable {
    let value: Value?

    init(from decoder: any Decoder) throws {
        // A single undecodable peer must not keep the node from all the others.
        value = try? Value(from: decoder)
    }
}

/// A member name met at run time.
struct AnyMember: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

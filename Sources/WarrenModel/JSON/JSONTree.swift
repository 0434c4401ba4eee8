/// A JSON document of any shape, as read from a request or carried by an event.
package enum JSONTree: Sendable, Hashable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number without a fraction that fits 64 bits.
    case integer(Int64)
    /// Every other number.
    case number(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONTree])
    /// An object; the order of its members does not count.
    case object([String: JSONTree])

    /// The member `name` of an object, or nil.
    package subscript(name: String) -> JSONTree? { object?[name] }
    /// The element at `index` of an array, or nil.
    package subscript(index: Int) -> JSONTree? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// Whether this is `null`.
    package var isNull: Bool { self == .null }
    /// The truth value, or nil.
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The string, or nil.
    package var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The array, or nil.
    package var array: [JSONTree]? { if case .array(let value) = self { value } else { nil } }
    /// The object, or nil.
    package var object: [String: JSONTree]? { if case .object(let value) = self { value } else { nil } }
    /// The integer, also when written `2.0` (JSON Schema counts that as one), or nil.
    package var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .number(let value): Int64(exactly: value)
        case .null, .bool, .string, .array, .object: nil
        }
    }

    /// The word JSON Schema has for the kind of this value.
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer: "integer"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    /// A string, or `null` for nil.
    package static func optional(_ text: String?) -> JSONTree { text.map(JSONTree.string) ?? .null }
}

extension JSONTree: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral {
    /// The literal as a document.
    package init(stringLiteral value: String) { self = .string(value) }
    /// The literal as a document.
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    /// The literal as a document.
    package init(integerLiteral value: Int64) { self = .integer(value) }
}

extension JSONTree: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    /// The literal as a document.
    package init(arrayLiteral elements: JSONTree...) { self = .array(elements) }
    /// The literal as a document.
    package init(dictionaryLiteral elements: (String, JSONTree)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }
}

extension JSONTree: Codable {
    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        // Each miss costs a thrown error, so the most frequent kinds come first.
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([String: JSONTree].self) {
            self = .object(value)
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode([JSONTree].self) {
            self = .array(value)
        } else {
            self = .number(try container.decode(Double.self))
        }
    }

    /// Writes the JSON form.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}

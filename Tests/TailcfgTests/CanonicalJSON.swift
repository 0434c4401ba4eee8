import FoundationEssentials
import TestSupport

/// A JSON value by our encoder, for comparison with documents.
func encoded(_ value: some Encodable) throws -> JSONValue {
    try JSONValue(parsing: JSONEncoder().encode(value))
}

extension JSONValue {
    /// Decodes the document as `type`.
    func decoded<T: Decodable>(as type: T.Type) throws -> T {
        try JSONDecoder().decode(type, from: data)
    }

    /// The document without members whose absence says the same: null, false, zero time, zero keys.
    func pruned(
        keepingNull: Set<String> = ["Routes", "Regions", "PacketFilters", "DisplayMessages", "CapMap", "DERPMap"]
    )
        -> JSONValue
    {
        prune(parent: "", keepingNull: keepingNull)
    }

    private func prune(parent: String, keepingNull: Set<String>) -> JSONValue {
        switch self {
        case .array(let elements):
            return .array(elements.map { $0.prune(parent: "", keepingNull: keepingNull) })
        case .object(let members):
            var kept: [String: JSONValue] = [:]
            for (name, value) in members {
                let value = value.prune(parent: name, keepingNull: keepingNull)
                if value.isNull, !keepingNull.contains(parent) { continue }
                if value == .string("0001-01-01T00:00:00Z") { continue }
                kept[name] = value
            }
            return .object(kept)
        default:
            return self
        }
    }
}

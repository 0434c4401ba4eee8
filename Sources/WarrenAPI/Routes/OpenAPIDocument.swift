package import WarrenModel
import Yams

/// The contract as `openapi/warren.yaml` states it, in JSON.
package enum OpenAPIDocument {
    /// The document.
    package static func tree() throws -> JSONTree {
        try cached.get()
    }

    /// The document as text.
    static func json() throws -> [UInt8] {
        try ModelJSON.bytes(tree()) + [10]
    }

    private static let cached = Result { () throws -> JSONTree in
        let yaml = String(decoding: PackageResources.warren_yaml, as: UTF8.self)
        guard let root = try Yams.compose(yaml: yaml) else { return .object([:]) }
        return try tree(root)
    }

    private static func tree(_ node: Node) throws -> JSONTree {
        switch node {
        case .mapping(let mapping):
            .object(Dictionary(try mapping.map { ($0.key.scalar?.string ?? "", try tree($0.value)) }) { $1 })
        case .sequence(let sequence): .array(try sequence.map(tree))
        case .scalar(let scalar): tree(scalar)
        case .alias: throw YamlError.representer(problem: "an alias that leads nowhere")
        }
    }

    // Only the words of JSON are more than text: the dates and times that YAML also knows are strings in the examples.
    private static func tree(_ scalar: Node.Scalar) -> JSONTree {
        guard scalar.style == .plain else { return .string(scalar.string) }
        switch scalar.string {
        case "null", "~", "": return .null
        case "true": return true
        case "false": return false
        default:
            if let integer = Int64(scalar.string) { return .integer(integer) }
            if let first = scalar.string.first, first.isNumber || first == "-", let number = Double(scalar.string) {
                return .number(number)
            }
            return .string(scalar.string)
        }
    }
}

package import Foundation

/// One case of a vector file.
package struct VectorCase: Sendable, CustomStringConvertible {
    /// The file's name and the case's place in it.
    package let description: String
    /// The case itself.
    package let value: JSONValue
}

/// A golden vector file `{description, notes?, cases: […]}` in a test bundle's `Vectors` folder.
package struct VectorFile: Sendable {
    /// The whole document.
    package let document: JSONValue
    /// Every case that the file holds, in its order.
    package let cases: [VectorCase]

    /// Reads `Vectors/<name>.json` of `bundle`; a file without cases fails, so that no suite passes by running nothing.
    package init(_ name: String, in bundle: Bundle) throws {
        let url = bundle.bundleURL.appendingPathComponent("Vectors/\(name).json")
        document = try JSONValue(parsing: Data(contentsOf: url))
        cases = (document.cases?.array ?? []).enumerated().map { index, value in
            VectorCase(description: "\(name)[\(index)] \(value.description?.string ?? "")", value: value)
        }
        guard !cases.isEmpty else { throw CocoaError(.fileReadCorruptFile) }
    }
}

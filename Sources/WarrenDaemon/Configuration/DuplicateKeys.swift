import Yams

/// Composes a YAML document even when keys repeat, so that repeated keys are reported beside everything else.
///
/// The composer gives up at the first repeated key; here that key is marked in the text and the text composed again.
enum DuplicateKeys {
    private static let mark: Character = "\u{E000}"
    private static let mostRepairs = 64

    /// The node tree in which all but one of each set of repeated keys carry a mark.
    static func compose(_ yaml: String) throws -> Node? {
        var text = yaml
        for repair in 0..<mostRepairs {
            do {
                return try Yams.compose(yaml: text)
            } catch YamlError.duplicatedKeysInMapping(_, let context) {
                guard let repaired = marking(text, at: context.mark, number: repair) else { throw DuplicateError() }
                text = repaired
            }
        }
        throw DuplicateError()
    }

    /// The key as it was written.
    static func original(of key: String) -> String {
        guard key.first == mark, let end = key.dropFirst().firstIndex(of: mark) else { return key }
        return String(key[key.index(after: end)...])
    }

    private static func marking(_ text: String, at place: Mark, number: Int) -> String? {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.indices.contains(place.line - 1) else { return nil }
        var scalars = Array(lines[place.line - 1].unicodeScalars)
        var column = place.column - 1
        guard scalars.indices.contains(column) else { return nil }
        if scalars[column] == "\"" || scalars[column] == "'" { column += 1 }
        scalars.insert(contentsOf: "\(mark)\(number)\(mark)".unicodeScalars, at: column)
        var line = String.UnicodeScalarView()
        line.append(contentsOf: scalars)
        lines[place.line - 1] = String(line)
        return lines.joined(separator: "\n")
    }

    /// A document whose keys repeat in a way that could not be located.
    struct DuplicateError: Error {}
}

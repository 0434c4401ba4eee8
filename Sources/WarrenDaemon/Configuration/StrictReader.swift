import Yams

/// Walks one mapping of the node tree: every key is either read, or reported with its path and line.
struct StrictReader: ConfigurationVisitor {
    private let pairs: [(key: String, mark: Int?, node: Node)]
    private let path: String
    private let problems: ProblemList
    private var known: [String] = []

    /// Begins with a mapping that stands at `path`.
    init(mapping: Node.Mapping, path: String, problems: ProblemList) {
        self.path = path
        self.problems = problems
        var pairs: [(key: String, mark: Int?, node: Node)] = []
        for (keyNode, node) in mapping {
            guard case .scalar(let scalar) = keyNode else {
                problems.note(path, keyNode.mark?.line, "a key must be a plain word")
                continue
            }
            let key = DuplicateKeys.original(of: scalar.string)
            if key != scalar.string {
                problems.note(Self.join(path, key), scalar.mark?.line, "is given more than once")
                continue
            }
            pairs.append((key, scalar.mark?.line, node))
        }
        self.pairs = pairs
    }

    mutating func value<Value: ConfigurationValue>(_ key: String, _ value: inout Value) {
        known.append(key)
        guard let pair = pairs.first(where: { $0.key == key }) else { return }
        let path = Self.join(path, key)
        problems.lines[path] = pair.node.mark?.line ?? pair.mark
        if let read = Value(configuration: pair.node) {
            value = read
        } else {
            problems.note(path, problems.lines[path], "\(Self.found(pair.node)); expected \(Value.expectation)")
        }
    }

    mutating func section(_ key: String, _ section: inout some ConfigurationSection) {
        known.append(key)
        guard let pair = pairs.first(where: { $0.key == key }) else { return }
        let path = Self.join(path, key)
        switch pair.node {
        case .mapping(let mapping):
            problems.lines[path] = pair.mark
            var reader = StrictReader(mapping: mapping, path: path, problems: problems)
            section.visit(&reader)
            reader.finish()
        case .scalar(let scalar) where scalar.isNull: break
        default: problems.note(path, pair.mark, "\(Self.found(pair.node)); expected a section of keys")
        }
    }

    /// Reports every key that nothing asked for.
    func finish() {
        for pair in pairs where !known.contains(pair.key) {
            let near = known.map { ($0, Self.distance($0, pair.key)) }.min { $0.1 < $1.1 }
            let hint =
                if let near, near.1 <= max(1, pair.key.count / 3) { "did you mean \(near.0)?" } else {
                    "known here: \(known.joined(separator: ", "))"
                }
            problems.note(Self.join(path, pair.key), pair.mark, "unknown key; \(hint)")
        }
    }

    private static func join(_ path: String, _ key: String) -> String {
        path.isEmpty ? key : "\(path).\(key)"
    }

    private static func found(_ node: Node) -> String {
        switch node {
        case .scalar(let scalar): scalar.isNull ? "is empty" : "\"\(scalar.string.prefix(80))\" does not fit"
        case .mapping: "is a section"
        case .sequence: "is a list with a wrong entry, or should be none"
        case .alias: "is an alias"
        }
    }

    /// The edit distance of two words, without regard to case.
    private static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.lowercased().unicodeScalars)
        let right = Array(right.lowercased().unicodeScalars.prefix(64))
        var row = Array(0...right.count)
        for (line, scalar) in left.enumerated() {
            var corner = row[0]
            row[0] = line + 1
            for column in right.indices {
                let above = row[column + 1]
                row[column + 1] = min(above + 1, row[column] + 1, corner + (scalar == right[column] ? 0 : 1))
                corner = above
            }
        }
        return row[right.count]
    }
}

/// What one reading found: the problems, and where each value that was given stands.
final class ProblemList {
    /// The problems in the order they were found.
    private(set) var problems: [ConfigurationProblem] = []
    /// The line of each value that the file gives, by its path.
    var lines: [String: Int] = [:]

    /// Reports a problem.
    func note(_ path: String, _ line: Int?, _ message: String) {
        problems.append(ConfigurationProblem(path: path, line: line, message: message))
    }

    /// Reports a broken rule at the line of the value that broke it, when the file gave it.
    func noteRule(_ path: String, _ message: String) {
        note(path, lines[path], message)
    }
}

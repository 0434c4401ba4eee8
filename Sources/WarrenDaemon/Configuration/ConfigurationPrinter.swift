import Yams

/// Turns a configuration back into the YAML that would give it.
struct ConfigurationPrinter: ConfigurationVisitor {
    private var lines: [String] = []
    private var indentation = ""

    /// The whole configuration, every key, values in effect.
    static func yaml(of configuration: DaemonConfiguration) -> String {
        var printer = ConfigurationPrinter()
        var copy = configuration
        copy.visit(&printer)
        return printer.lines.joined(separator: "\n") + "\n"
    }

    mutating func value(_ key: String, _ value: inout some ConfigurationValue) {
        lines.append("\(indentation)\(key): \(Self.text(value.configurationNode))")
    }

    mutating func section(_ key: String, _ section: inout some ConfigurationSection) {
        lines.append("\(indentation)\(key):")
        let outer = indentation
        indentation += "  "
        section.visit(&self)
        indentation = outer
    }

    private static func text(_ node: Node) -> String {
        switch node {
        case .sequence(let sequence): "[" + sequence.map(text).joined(separator: ", ") + "]"
        case .scalar(let scalar): quoted(scalar.string)
        case .mapping(let mapping):
            "{" + mapping.map { "\(text($0.key)): \(text($0.value))" }.joined(separator: ", ") + "}"
        case .alias: ""
        }
    }

    private static func quoted(_ word: String) -> String {
        let plain = word.unicodeScalars.allSatisfy {
            ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0)
                || "-_./".unicodeScalars.contains($0)
        }
        if plain, word.first != "-" { return word }
        return "\"" + word.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}

import FoundationEssentials
import Yams

/// Reads a configuration file strictly and checks it as a whole.
package enum ConfigurationLoader {
    // No configuration anybody writes comes near; a device or a disk image named by mistake does.
    private static let largestFile = 1 << 20

    /// Reads a file.
    /// - Throws: `ConfigurationError` with every problem of the file.
    package static func load(file: String) throws(ConfigurationError) -> DaemonConfiguration {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(filePath: file))
        } catch {
            throw failure(file, nil, "cannot be read (\(reason(of: error)))")
        }
        guard bytes.count <= largestFile else { throw failure(file, nil, "is larger than 1 MiB") }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw failure(file, nil, "is not UTF-8") }
        return try load(yaml: text, file: file)
    }

    /// Reads a document; `file` only names it in problems.
    /// - Throws: `ConfigurationError` with every problem of the document.
    package static func load(yaml: String, file: String?) throws(ConfigurationError) -> DaemonConfiguration {
        var configuration = DaemonConfiguration()
        let problems = ProblemList()
        switch try compose(yaml, file) {
        case nil: break
        case .mapping(let mapping):
            var reader = StrictReader(mapping: mapping, path: "", problems: problems)
            configuration.visit(&reader)
            reader.finish()
        case .scalar(let scalar) where scalar.isNull: break
        case .some(let node): problems.note("", node.mark?.line, "the document must be a mapping of keys")
        }
        configuration.checkRules(problems)
        guard problems.problems.isEmpty else { throw ConfigurationError(file: file, problems: problems.problems) }
        return configuration
    }

    private static func compose(_ yaml: String, _ file: String?) throws(ConfigurationError) -> Node? {
        do {
            return try DuplicateKeys.compose(yaml)
        } catch let error as YamlError {
            switch error {
            case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
                .composer(_, let problem, let mark, _):
                throw failure(file, mark.line, "is not YAML: \(problem)")
            default: throw failure(file, nil, "is not YAML: \(error)")
            }
        } catch is DuplicateKeys.DuplicateError {
            throw failure(file, nil, "repeats keys in a way that cannot be read")
        } catch {
            throw failure(file, nil, "is not YAML")
        }
    }

    private static func failure(_ file: String?, _ line: Int?, _ message: String) -> ConfigurationError {
        ConfigurationError(file: file, problems: [ConfigurationProblem(path: "", line: line, message: message)])
    }

    private static func reason(of error: any Error) -> String {
        guard let error = error as? CocoaError else { return "\(error)" }
        return switch error.code {
        case .fileReadNoSuchFile, .fileNoSuchFile: "no such file"
        case .fileReadNoPermission: "permission denied"
        default: "error \(error.code.rawValue)"
        }
    }
}

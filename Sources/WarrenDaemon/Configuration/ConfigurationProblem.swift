/// One thing that is wrong with a configuration, with the place where it stands.
package struct ConfigurationProblem: Hashable, Sendable {
    /// The keys down to the value, joined by dots (`control.embedded.listen`); empty for the file as a whole.
    package let path: String
    /// The line of the file, from 1; nil when the value stands in no file.
    package let line: Int?
    /// What is wrong, as half a sentence that follows the path.
    package let message: String

    /// Notes a problem.
    package init(path: String, line: Int?, message: String) {
        self.path = path
        self.line = line
        self.message = message
    }

    /// `file:line: path: message`, as compilers print it.
    package func text(in file: String?) -> String {
        var place = file ?? "defaults"
        if let line { place += ":\(line)" }
        return path.isEmpty ? "\(place): \(message)" : "\(place): \(path): \(message)"
    }
}

/// Everything that is wrong with a configuration, in the order of the file.
package struct ConfigurationError: Error, Equatable, Sendable {
    /// The file; nil for the defaults.
    package let file: String?
    /// At least one problem.
    package let problems: [ConfigurationProblem]

    /// Gathers the problems of one file.
    package init(file: String?, problems: [ConfigurationProblem]) {
        self.file = file
        self.problems = problems.sorted { ($0.line ?? 0, $0.path) < ($1.line ?? 0, $1.path) }
    }
}

extension ConfigurationError: CustomStringConvertible {
    /// One line a problem.
    package var description: String {
        problems.map { $0.text(in: file) }.joined(separator: "\n")
    }
}

import WarrenModel

/// Why a command did not do what was asked.
enum CommandFailure: Error {
    /// The API said no.
    case refused(Problem)
    /// The API said no, or something else, in words that are no problem document.
    case unexpectedAnswer(status: Int, text: String)
    /// What was asked for cannot be, though the API answered.
    case notPossible(String)
    /// The command line or its environment makes no sense.
    case usage(String)
    /// No daemon answers.
    case notReachable(place: String, reason: String)
    /// What was waited for did not come true in time.
    case timedOut(String)

    /// What the process ends with.
    var exitCode: Int32 {
        switch self {
        case .refused, .unexpectedAnswer, .notPossible: 1
        case .usage: 2
        case .notReachable: 3
        case .timedOut: 124
        }
    }
}

extension CommandFailure: CustomStringConvertible {
    /// What went wrong, for the terminal.
    var description: String {
        switch self {
        case .refused(let problem):
            ([problem.detail.isEmpty ? problem.title : "\(problem.title): \(problem.detail)"]
                + (problem.errors ?? []).map { "  \($0.pointer.isEmpty ? "the body" : $0.pointer) \($0.detail)" })
                .joined(separator: "\n")
        case .unexpectedAnswer(let status, let text):
            "the answer is no problem document: status \(status)\(text.isEmpty ? "" : ", \(text.prefix(200))")"
        case .notPossible(let text), .usage(let text), .timedOut(let text): text
        case .notReachable(let place, let reason): "cannot reach the daemon at \(place): \(reason)"
        }
    }
}

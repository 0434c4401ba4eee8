import Subprocess

/// Runs a program that ends by itself within a moment.
enum ShortTool {
    /// What a program left behind.
    struct Result: Sendable {
        /// Whether it ended with code 0.
        let isSuccess: Bool
        /// Its exit code; nil when a signal ended it.
        let exitCode: Int32?
        /// Its standard output.
        let output: String
        /// Its error output.
        let errors: String
    }

    /// Runs `program`, an absolute path, and kills it when it takes longer than `timeout`.
    ///
    /// - Throws: `QEMUError.notInstalled`, `.toolTimedOut`, `.toolFailed`.
    static func run(_ program: String, _ arguments: [String], timeout: Duration) async throws -> Result {
        guard let slash = program.lastIndex(of: "/"), program.hasPrefix("/") else {
            throw QEMUError.notInstalled(program: program)
        }
        let directory = String(program[..<slash]), name = String(program[program.index(after: slash)...])
        let limit = 1 << 20
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                do {
                    let result = try await Subprocess.run(
                        .name(name),
                        arguments: Arguments(arguments),
                        environment: .custom(["PATH": directory.isEmpty ? "/" : directory, "LC_ALL": "C"]),
                        output: .string(limit: limit),
                        error: .string(limit: limit)
                    )
                    var code: Int32?
                    if case .exited(let value) = result.terminationStatus { code = Int32(value) }
                    return Result(
                        isSuccess: result.terminationStatus.isSuccess,
                        exitCode: code,
                        output: result.standardOutput,
                        errors: result.standardError
                    )
                } catch let error as SubprocessError where error.code == .executableNotFound {
                    throw QEMUError.notInstalled(program: program)
                } catch let error as SubprocessError {
                    throw QEMUError.toolFailed(program: program, output: "\(error)")
                }
            }
            group.addTask {
                try await Task.sleep(for: timeout)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let result = first else {
                throw QEMUError.toolTimedOut(program: program)
            }
            return result
        }
    }
}

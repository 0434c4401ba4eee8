import ArgumentParser
import FoundationEssentials
import Glibc
import WarrenModel

/// `warren exec` and `warren vm exec`.
struct ExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run a command in a guest, by its agent.",
        usage: "warren exec [<options>] <vm> [--] <command> ...",
        discussion: "Ends with the command's own exit code; 128 and the signal's number when one ended it."
    )

    @Option(help: ArgumentHelp("A variable of its environment.", valueName: "name=value"))
    var env: [String] = []

    @Option(help: "The directory it runs in.")
    var cwd: String?

    @Option(help: "The user it runs as.")
    var uid: Int?

    @Option(help: "The group it runs as.")
    var gid: Int?

    @Option(help: "How long it may run.")
    var timeout: String?

    @Flag(name: .shortAndLong, help: "Give it what stands on standard input.")
    var interactive = false

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The name or id of the VM.")
    var vm: String

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments.")
    var command: [String]

    func validate() throws {
        guard !words.isEmpty else { throw ValidationError("name the command to run") }
    }

    /// The command without the `--` that may separate it from the options.
    private var words: ArraySlice<String> { command.first == "--" ? command.dropFirst() : command[...] }

    mutating func run() async throws {
        let body = try body()
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.POST, VMTarget.path(vm, "/exec"), body: body)
            let answer = try ModelJSON.decode(ExecAnswer.self, from: bytes)
            if connection.json {
                Terminal.json(bytes)
            } else {
                Terminal.write(answer.stdout, to: STDOUT_FILENO)
                Terminal.write(answer.stderr, to: STDERR_FILENO)
                if answer.truncated { Terminal.complain("warren: the output was cut off at 1 MiB") }
            }
            if answer.timedOut { throw CommandFailure.timedOut("the command ran out of time") }
            if let code = answer.exitCode, code != 0 { throw ExitCode(Int32(truncatingIfNeeded: code)) }
            if let signal = answer.signal { throw ExitCode(Int32(truncatingIfNeeded: 128 + signal)) }
        }
    }

    private func body() throws -> JSONTree {
        var members: [String: JSONTree] = ["command": .array(words.map(JSONTree.string))]
        if !env.isEmpty {
            let pairs = try env.map { text in
                guard let equals = text.firstIndex(of: "=") else {
                    throw ValidationError("--env \(text): write name=value")
                }
                return (String(text[..<equals]), JSONTree.string(String(text[text.index(after: equals)...])))
            }
            members["env"] = .object(Dictionary(pairs) { $1 })
        }
        members["cwd"] = cwd.map(JSONTree.string)
        members["uid"] = uid.map { .integer(Int64($0)) }
        members["gid"] = gid.map { .integer(Int64($0)) }
        members["timeout"] = timeout.map(JSONTree.string)
        if interactive { members["stdinBase64"] = .string(Data(try standardInput()).base64EncodedString()) }
        return .object(members)
    }

    // The body of a request holds 1 MiB, base 64 included.
    private static let largestInput = 700 << 10

    private func standardInput() throws -> [UInt8] {
        var input: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return input }
            input += chunk.prefix(count)
            guard input.count <= Self.largestInput else {
                throw CommandFailure.usage("standard input is larger than 700 KiB")
            }
        }
    }
}

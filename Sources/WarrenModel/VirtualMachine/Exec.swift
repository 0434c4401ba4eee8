import FoundationEssentials

/// The body of `POST /v1/vms/{vm}/exec`.
package struct ExecRequest: Hashable, Sendable {
    /// The program and its arguments.
    package var command: [String]
    /// Variables added to the guest's environment.
    package var environment: [String: String]
    /// The working directory, or nil.
    package var workingDirectory: String?
    /// The user id, or nil.
    package var userID: Int?
    /// The group id, or nil.
    package var groupID: Int?
    /// What the program reads.
    package var standardInput: [UInt8]
    /// How long it may run.
    package var timeout: Duration

    /// How long a command runs when the request does not say.
    package static let defaultTimeout = Duration.seconds(30)

    /// Joins the parts.
    package init(
        command: [String],
        environment: [String: String] = [:],
        workingDirectory: String? = nil,
        userID: Int? = nil,
        groupID: Int? = nil,
        standardInput: [UInt8] = [],
        timeout: Duration = ExecRequest.defaultTimeout
    ) {
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.userID = userID
        self.groupID = groupID
        self.standardInput = standardInput
        self.timeout = timeout
    }

    /// Reads a body, or throws every fault in it.
    package init(_ body: JSONTree) throws(ValidationFailure) {
        self = try ObjectReader.decode(body, Self.read)
    }

    private static func read(_ reader: inout ObjectReader) -> ExecRequest? {
        let command = reader.strings("command", count: 1...1024, octets: 0...131_072, required: true, multiline: true)
        if let program = command?.first, program.isEmpty {
            reader.faults.add(.outOfRange, at: reader.path("command") + "/0", "must not be empty")
        }
        let environment = reader.dictionary(
            "env",
            count: 256,
            keyFormat: "a variable's name: letters, digits and underscores, no digit first",
            isKey: isVariableName,
            valueOctets: 0...131_072,
            multiline: true
        )
        let directory = reader.parsed("cwd", format: "an absolute path", nullable: true) {
            $0.hasPrefix("/") && $0.utf8.count <= 4095 ? $0 : nil
        }
        let input = reader.parsed("stdinBase64", format: "base 64", octets: 0...(1 << 20), base64)
        return ExecRequest(
            command: command ?? [],
            environment: environment ?? [:],
            workingDirectory: directory,
            userID: reader.integer("uid", in: 0...Int(Int32.max)),
            groupID: reader.integer("gid", in: 0...Int(Int32.max)),
            standardInput: input ?? [],
            timeout: reader.duration("timeout", in: .milliseconds(1) ... .seconds(3600)) ?? defaultTimeout
        )
    }

    private static func base64(_ text: String) -> [UInt8]? { Data(base64Encoded: text).map(Array.init) }

    private static func isVariableName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first), name.utf8.count <= 255 else { return false }
        return name.utf8.allSatisfy {
            (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "_")
        }
    }
}

/// The answer of `POST /v1/vms/{vm}/exec`.
package struct ExecAnswer: Hashable, Sendable, Codable {
    /// Nil when a signal or the time-out ended the program.
    @NullEncoded package var exitCode: Int?
    /// The signal that ended it, or nil.
    @NullEncoded package var signal: Int?
    /// What the program wrote to its standard output.
    package var stdoutBase64: String
    /// What the program wrote to its standard error.
    package var stderrBase64: String
    /// Whether the time-out ended the program.
    package var timedOut: Bool
    /// Whether output beyond the limit was cut off.
    package var truncated: Bool

    /// How much of each output is kept, in octets.
    package static let outputLimit = 1 << 20

    /// Wraps what a program did.
    package init(
        exitCode: Int?,
        signal: Int? = nil,
        stdout: [UInt8],
        stderr: [UInt8],
        timedOut: Bool = false,
        truncated: Bool = false
    ) {
        self.exitCode = exitCode
        self.signal = signal
        stdoutBase64 = Data(stdout).base64EncodedString()
        stderrBase64 = Data(stderr).base64EncodedString()
        self.timedOut = timedOut
        self.truncated = truncated
    }

    /// What the program wrote to its standard output.
    package var stdout: [UInt8] { Data(base64Encoded: stdoutBase64).map(Array.init) ?? [] }
    /// What the program wrote to its standard error.
    package var stderr: [UInt8] { Data(base64Encoded: stderrBase64).map(Array.init) ?? [] }
}

import FoundationEssentials
import WarrenModel

/// `guest-exec` and `guest-exec-status` as values.
enum GuestExec {
    /// The environment that `env` is added to: an agent that is given one passes on nothing of its own.
    private static let environment = [
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "dumb",
    ]

    /// The arguments of `guest-exec`.
    ///
    /// Stock qemu-ga has no directory, user and time limit of its own: they go through a
    /// shell and the guest's `setpriv` and `timeout`.
    ///
    /// - Throws: `QEMUError.unsupportedByAgent` for an empty command.
    static func arguments(_ request: ExecRequest, agentIsOurs: Bool) throws(QEMUError) -> [String: JSONTree] {
        guard var program = request.command.first else { throw .unsupportedByAgent("no command") }
        var rest = Array(request.command.dropFirst())
        var arguments: [String: JSONTree] = ["capture-output": true]
        if agentIsOurs {
            arguments["warren-timeout-ms"] = .integer(max(1, milliseconds(request.timeout)))
            if let directory = request.workingDirectory { arguments["warren-cwd"] = .string(directory) }
            if let uid = request.userID { arguments["warren-uid"] = .integer(Int64(uid)) }
            if let gid = request.groupID { arguments["warren-gid"] = .integer(Int64(gid)) }
        } else {
            var wrapper = ["timeout", "-s", "KILL", "\(Double(max(1, milliseconds(request.timeout))) / 1000)"]
            if request.userID != nil || request.groupID != nil {
                wrapper += ["setpriv", "--clear-groups"]
                if let gid = request.groupID { wrapper += ["--regid", String(gid)] }
                if let uid = request.userID { wrapper += ["--reuid", String(uid)] }
            }
            rest =
                ["-c", "cd \"$1\" && shift && exec \"$@\"", "sh", request.workingDirectory ?? "/"] + wrapper + [program]
                + rest
            program = "/bin/sh"
        }
        arguments["path"] = .string(program)
        arguments["arg"] = .array(rest.map(JSONTree.string))
        if !request.environment.isEmpty {
            let merged = environment.merging(request.environment) { _, theirs in theirs }
            arguments["env"] = .array(merged.sorted { $0.key < $1.key }.map { .string("\($0.key)=\($0.value)") })
        }
        if !request.standardInput.isEmpty {
            arguments["input-data"] = .string(Data(request.standardInput).base64EncodedString())
        }
        return arguments
    }

    /// The end of a program as `guest-exec-status` tells it.
    static func answer(_ status: JSONTree) -> ExecAnswer {
        func octets(_ name: String) -> [UInt8] {
            status[name]?.string.flatMap { Data(base64Encoded: $0) }.map(Array.init) ?? []
        }
        let out = octets("out-data"), err = octets("err-data"), limit = ExecAnswer.outputLimit
        let isCut = status["out-truncated"]?.bool == true || status["err-truncated"]?.bool == true
        return ExecAnswer(
            exitCode: status["exitcode"]?.integer.map(Int.init),
            signal: status["signal"]?.integer.map(Int.init),
            stdout: Array(out.prefix(limit)),
            stderr: Array(err.prefix(limit)),
            timedOut: status["warren-timed-out"]?.bool ?? false,
            truncated: isCut || out.count > limit || err.count > limit
        )
    }

    private static func milliseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}

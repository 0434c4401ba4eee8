import ArgumentParser
import WarrenModel

/// `warren vm`: VMs and what they do.
struct VMCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vm",
        abstract: "Make, list, start, stop and remove VMs.",
        subcommands: [
            VMCreateCommand.self, VMListCommand.self, VMShowCommand.self, VMStartCommand.self, VMStopCommand.self,
            VMRestartCommand.self, VMPauseCommand.self, VMResumeCommand.self, VMRemoveCommand.self,
            VMConsoleLogCommand.self, VMWaitCommand.self, ExecCommand.self,
        ]
    )
}

/// Where a VM is in the API.
enum VMTarget {
    /// `/v1/vms/<name or id>` and what follows.
    static func path(_ vm: String, _ rest: String = "") throws(CommandFailure) -> String {
        guard !vm.isEmpty else { throw .usage("the name of a VM is empty") }
        return "/v1/vms/" + URLText.escaped(vm) + rest
    }
}

/// `warren vm ls`.
struct VMListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List VMs.",
        discussion: "With --json one page is printed as it was answered; nextCursor asks for the next one.",
        aliases: ["list"]
    )

    @Option(help: "Only those in this state.")
    var state: String?

    @Option(help: ArgumentHelp("Only those with this label.", valueName: "key=value"))
    var label: [String] = []

    @Option(help: "Only the one of this name.")
    var name: String?

    @Option(help: "How many a page has, 1 to 500.")
    var limit: Int?

    @Option(help: "The page to begin with.")
    var cursor: String?

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            var vms: [VirtualMachine] = []
            var next = cursor
            repeat {
                let query = URLText.query(
                    [("state", state), ("name", name), ("limit", limit.map(String.init)), ("cursor", next)]
                        + label.map { ("label", $0) }
                )
                let bytes = try await daemon.bytes(.GET, "/v1/vms" + query)
                if connection.json { return Terminal.json(bytes) }
                let page = try ModelJSON.decode(Page<VirtualMachine>.self, from: bytes)
                vms += page.items
                next = page.nextCursor
            } while next != nil
            Terminal.say(VMText.table(vms))
        }
    }
}

/// `warren vm show`.
struct VMShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one VM.")

    @Argument(help: "Its name or id.")
    var vm: String

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.GET, VMTarget.path(vm))
            if connection.json { return Terminal.json(bytes) }
            Terminal.say(VMText.card(try ModelJSON.decode(VirtualMachine.self, from: bytes)))
        }
    }
}

/// `warren vm start`.
struct VMStartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "start", abstract: "Start VMs.")

    @Argument(help: "Their names or ids.")
    var vms: [String]

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await VMAction.post("start", body: nil, to: vms, connection)
    }
}

/// `warren vm stop`.
struct VMStopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Stop VMs: the guest shuts down, or is powered off when it takes too long."
    )

    @Argument(help: "Their names or ids.")
    var vms: [String]

    @Option(help: "How long the guest may take, such as 10s.")
    var timeout: String?

    @Flag(help: "Power off at once.")
    var force = false

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        var body: [String: JSONTree] = [:]
        if let timeout { body["timeout"] = .string(timeout) }
        if force { body["force"] = true }
        try await VMAction.post("stop", body: .object(body), to: vms, connection)
    }
}

/// `warren vm restart`.
struct VMRestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "restart", abstract: "Stop VMs and start them again.")

    @Argument(help: "Their names or ids.")
    var vms: [String]

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await VMAction.post("restart", body: nil, to: vms, connection)
    }
}

/// `warren vm pause`.
struct VMPauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Let VMs stand still; they keep their memory and their address."
    )

    @Argument(help: "Their names or ids.")
    var vms: [String]

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await VMAction.post("pause", body: nil, to: vms, connection)
    }
}

/// `warren vm resume`.
struct VMResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "Let paused VMs go on.")

    @Argument(help: "Their names or ids.")
    var vms: [String]

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await VMAction.post("resume", body: nil, to: vms, connection)
    }
}

/// `warren vm rm`.
struct VMRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove VMs with their disks; their nodes leave the tailnet.",
        aliases: ["delete"]
    )

    @Argument(help: "Their names or ids.")
    var vms: [String]

    @Flag(help: "Do not let the guest shut down first.")
    var force = false

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            for vm in vms {
                let query = force ? "?force=true" : ""
                let bytes = try await daemon.bytes(.DELETE, VMTarget.path(vm, query))
                if connection.json { Terminal.json(bytes) } else { Terminal.say("\(vm) deleting") }
            }
        }
    }
}

/// What the commands that post an action share.
enum VMAction {
    /// Posts an action to each VM and says what came of it.
    static func post(
        _ action: String,
        body: JSONTree?,
        to vms: [String],
        _ connection: ConnectionOptions
    ) async throws {
        try await connection.withDaemon { daemon in
            for vm in vms {
                let bytes = try await daemon.bytes(.POST, VMTarget.path(vm, "/\(action)"), body: body)
                if connection.json {
                    Terminal.json(bytes)
                } else {
                    let answer = try ModelJSON.decode(VirtualMachine.self, from: bytes)
                    Terminal.say("\(answer.name) \(answer.state.rawValue)")
                }
            }
        }
    }
}

/// `warren vm console-log`.
struct VMConsoleLogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console-log",
        abstract: "Print what the guest wrote to its console."
    )

    @Argument(help: "Its name or id.")
    var vm: String

    @Option(help: "Only the end, such as 64KiB.")
    var tail: String?

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            let target = try VMTarget.path(vm, "/console/log" + URLText.query([("tail", tail)]))
            Terminal.write(try await daemon.bytes(.GET, target, accept: "text/plain, application/problem+json"), to: 1)
        }
    }
}

import ArgumentParser
import WarrenModel

/// `warren network`: the node of a VM.
struct NetworkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "network",
        abstract: "A VM's node: its peers, what it is to do, its login.",
        subcommands: [
            NetworkShowCommand.self, NetworkSetCommand.self, NetworkLoginCommand.self, NetworkLogoutCommand.self,
            NetworkPingCommand.self,
        ]
    )
}

/// `warren network show`.
struct NetworkShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a node and its peers.")

    @Argument(help: "The name or id of the VM.")
    var vm: String

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.GET, VMTarget.path(vm, "/network"))
            if connection.json { return Terminal.json(bytes) }
            Terminal.say(NetworkText.page(try ModelJSON.decode(NetworkDetail.self, from: bytes)))
        }
    }
}

/// `warren network set`.
struct NetworkSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change what a node is to do; it goes on meanwhile.",
        discussion: "What is not named stays as it is. `default` puts a setting back to its default."
    )

    @Argument(help: "The name or id of the VM.")
    var vm: String

    @Option(help: "auto, or the name, tailnet address or stable id of a peer; none for no internet.")
    var exitNode: String?

    @Option(help: "Whether subnets behind other nodes are reachable: yes or no.")
    var acceptRoutes: String?

    @Option(help: "Whether the guest uses the tailnet's DNS: yes or no.")
    var acceptDns: String?

    @Option(help: "Whether everything that peers begin is refused: yes or no.")
    var shieldsUp: String?

    @Option(help: "The name the node asks for.")
    var hostname: String?

    @Option(help: "Tags, separated by commas; none for no tags.")
    var tags: String?

    @Option(help: "Subnets that the guest routes for, separated by commas; none for no subnets.")
    var advertiseRoutes: String?

    @Option(help: "auto or websocket; only while the VM is stopped.")
    var transport: String?

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        var body: [String: JSONTree] = [:]
        body["exitNode"] = exitNode.map { $0 == "none" ? .null : Self.text($0) }
        body["acceptRoutes"] = try acceptRoutes.map { try Self.flag($0, "--accept-routes") }
        body["acceptDns"] = try acceptDns.map { try Self.flag($0, "--accept-dns") }
        body["shieldsUp"] = try shieldsUp.map { try Self.flag($0, "--shields-up") }
        body["hostname"] = hostname.map(Self.text)
        body["tags"] = tags.map(Self.list)
        body["advertiseRoutes"] = advertiseRoutes.map(Self.list)
        body["transport"] = transport.map(Self.text)
        let patch = JSONTree.object(body)
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.PATCH, VMTarget.path(vm, "/network"), body: patch)
            if connection.json { return Terminal.json(bytes) }
            let answer = try ModelJSON.decode(VirtualMachine.self, from: bytes)
            Terminal.say("\(answer.name) is at generation \(answer.generation)")
        }
    }

    private static func text(_ text: String) -> JSONTree { text == "default" ? .null : .string(text) }

    private static func list(_ text: String) -> JSONTree {
        if text == "default" { return .null }
        return .array(text == "none" ? [] : text.split(separator: ",").map { .string(String($0)) })
    }

    private static func flag(_ text: String, _ option: String) throws -> JSONTree {
        switch text {
        case "yes", "true", "on": return true
        case "no", "false", "off": return false
        case "default": return .null
        default: throw ValidationError("\(option) takes yes, no or default, not \(text).")
        }
    }
}

/// `warren network login`.
struct NetworkLoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login",
        abstract: "Log a node in afresh; one that runs goes on meanwhile.",
        discussion: "Without a key a person opens the URL that `warren login-url` prints."
    )

    @Argument(help: "The name or id of the VM.")
    var vm: String

    @Option(help: ArgumentHelp("The auth key; others on this machine can see it here.", valueName: "key"))
    var authKey: String?

    @Option(help: ArgumentHelp("A file that holds the auth key.", valueName: "file"))
    var authKeyFile: String?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if authKey != nil, authKeyFile != nil { throw ValidationError("give --auth-key or --auth-key-file, not both") }
    }

    mutating func run() async throws {
        let key = try AuthKeyText.read(authKey, file: authKeyFile)
        let body: JSONTree = key.map { ["authKey": .string($0)] } ?? .object([:])
        try await NetworkAction.post("login", body, vm, connection)
    }
}

/// `warren network logout`.
struct NetworkLogoutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout",
        abstract: "Log a node out: its key is destroyed, the VM goes on."
    )

    @Argument(help: "The name or id of the VM.")
    var vm: String

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await NetworkAction.post("logout", nil, vm, connection)
    }
}

/// `warren network ping`.
struct NetworkPingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ping",
        abstract: "Ask a peer of a node for signs of life; 1 when none comes."
    )

    @Argument(help: "The name or id of the VM.")
    var vm: String

    @Argument(help: "The name, tailnet address or stable id of the peer.")
    var peer: String

    @Option(help: "disco, tsmp or icmp.")
    var kind = "disco"

    @Option(name: .shortAndLong, help: "How often, 1 to 10.")
    var count = 1

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        let body: JSONTree = ["peer": .string(peer), "kind": .string(kind), "count": .integer(Int64(count))]
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.POST, VMTarget.path(vm, "/network/ping"), body: body)
            let answer = try ModelJSON.decode(NetworkPingAnswer.self, from: bytes)
            if connection.json { Terminal.json(bytes) } else { Terminal.say(NetworkText.replies(answer)) }
            if answer.replies.allSatisfy({ $0.error != nil }) { throw ExitCode(1) }
        }
    }
}

/// What `login` and `logout` share.
enum NetworkAction {
    /// Posts an action and says how the node is.
    static func post(_ action: String, _ body: JSONTree?, _ vm: String, _ connection: ConnectionOptions) async throws {
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.POST, VMTarget.path(vm, "/network/\(action)"), body: body)
            if connection.json { return Terminal.json(bytes) }
            let answer = try ModelJSON.decode(VirtualMachine.self, from: bytes)
            Terminal.say("\(answer.name) \(answer.network?.state.rawValue ?? "none")")
        }
    }
}

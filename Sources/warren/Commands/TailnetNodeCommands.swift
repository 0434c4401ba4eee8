import ArgumentParser
import WarrenModel

/// `warren tailnet nodes`.
struct TailnetNodesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "nodes", abstract: "List the nodes.")

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.GET, "/v1/tailnet/nodes?limit=500")
            if connection.json { return Terminal.json(bytes) }
            var table = Table("NAME", "ADDRESS", "STATE", "USER", "ROUTES", "LAST SEEN", "ID")
            for node in try ModelJSON.decode(Page<TailnetNodeAnswer>.self, from: bytes).items {
                table.add(
                    node.name,
                    node.addresses.first,
                    node.state,
                    node.owner,
                    node.routeText,
                    node.lastSeen?.description,
                    node.id
                )
            }
            Terminal.say(table.text)
        }
    }
}

/// `warren tailnet node`.
struct TailnetNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "node", abstract: "Show one node.")

    @OptionGroup var target: TailnetNodeTarget
    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws { try await target.show(.GET, "", connection) }
}

/// `warren tailnet rename`.
struct TailnetRenameCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rename", abstract: "Give a node another name.")

    @OptionGroup var target: TailnetNodeTarget

    @Argument(help: "The new name; without one the node is called as its host.")
    var name: String?

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await target.show(.PATCH, "", body: ["name": .optional(name)], connection)
    }
}

/// `warren tailnet tag`.
struct TailnetTagCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tag", abstract: "Set a node's tags.")

    @OptionGroup var target: TailnetNodeTarget

    @Argument(help: ArgumentHelp("Its tags; none gives it back to its user.", valueName: "tag:name"))
    var tags: [String] = []

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await target.show(.PATCH, "", body: ["tags": .array(tags.map(JSONTree.string))], connection)
    }
}

/// `warren tailnet routes`.
struct TailnetRoutesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes",
        abstract: "Show a node's routes, or say which it may serve."
    )

    @OptionGroup var target: TailnetNodeTarget

    @Option(
        name: .long,
        parsing: .upToNextOption,
        help: ArgumentHelp("All routes it may serve; 0.0.0.0/0 makes it an exit node.", valueName: "prefix")
    )
    var approve: [String] = []

    @Flag(help: "It may serve none.")
    var none = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if none, !approve.isEmpty { throw ValidationError("--none and --approve exclude each other.") }
    }

    mutating func run() async throws {
        guard none || !approve.isEmpty else { return try await target.show(.GET, "", connection) }
        let routes = JSONTree.array(approve.map(JSONTree.string))
        try await target.show(.POST, "/routes", body: ["approved": routes], connection)
    }
}

/// `warren tailnet approve-node`.
struct TailnetApproveNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve-node",
        abstract: "Let a node take part that waits for approval."
    )

    @OptionGroup var target: TailnetNodeTarget
    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws { try await target.show(.POST, "/approve", connection) }
}

/// `warren tailnet expire`.
struct TailnetExpireCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expire",
        abstract: "End a node's key now; it has to log in again."
    )

    @OptionGroup var target: TailnetNodeTarget

    @Option(help: ArgumentHelp("End it then instead, such as 2027-01-02T03:04:05Z, or never.", valueName: "time"))
    var at: String?

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        guard let at else { return try await target.show(.POST, "/expire", connection) }
        try await target.show(.PATCH, "", body: ["keyExpiry": at == "never" ? .null : .string(at)], connection)
    }
}

/// `warren tailnet delete`.
struct TailnetDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Remove a node; its client is logged out.",
        aliases: ["rm"]
    )

    @OptionGroup var target: TailnetNodeTarget
    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            _ = try await daemon.bytes(.DELETE, target.path)
            if !connection.json { Terminal.say("\(target.node) removed") }
        }
    }
}

/// The node that a command is about.
struct TailnetNodeTarget: ParsableArguments {
    @Argument(help: "The name or the id of the node.")
    var node: String

    /// Where the API has it.
    var path: String { "/v1/tailnet/nodes/" + URLText.escaped(node) }

    /// Asks, and shows the node that is the answer.
    func show(
        _ method: RequestMethod,
        _ action: String,
        body: JSONTree? = nil,
        _ connection: ConnectionOptions
    ) async throws {
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(method, path + action, body: body)
            if connection.json { return Terminal.json(bytes) }
            Terminal.say(try ModelJSON.decode(TailnetNodeAnswer.self, from: bytes).card)
        }
    }
}

extension TailnetNodeAnswer {
    /// What the node is up to, in a word.
    fileprivate var state: String {
        if !approved { return "waiting" }
        if expired { return "expired" }
        return online ? "online" : "offline"
    }

    /// Its tags, or else its user.
    fileprivate var owner: String { tags.isEmpty ? user : tags.joined(separator: " ") }

    /// What it serves.
    fileprivate var routeText: String { (routes.primary + (exitNode ? ["exit"] : [])).joined(separator: " ") }

    /// Everything about it, for people.
    fileprivate var card: String {
        var card = Card()
        card.add("Name", dnsName)
        card.add("Id", id)
        card.add("State", state)
        card.add("Addresses", addresses.joined(separator: " "))
        card.add("Owner", owner)
        card.add("Host", [hostname, os].filter { !$0.isEmpty }.joined(separator: ", "))
        card.add("Created", createdAt.description)
        card.add("Last seen", lastSeen?.description)
        card.add("Key ends", keyExpiry?.description ?? "never")
        card.add("Routes offered", routes.advertised.joined(separator: " "))
        card.add("Routes approved", routes.approved.joined(separator: " "))
        card.add("Routes served", routeText)
        return card.text
    }
}

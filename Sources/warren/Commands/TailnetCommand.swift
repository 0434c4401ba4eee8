import ArgumentParser
import WarrenModel

/// `warren tailnet`: the embedded coordination server.
struct TailnetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tailnet",
        abstract: "The embedded coordination server: keys, nodes, logins, policy and DNS.",
        subcommands: [
            TailnetAuthKeyCommand.self, TailnetNodesCommand.self, TailnetNodeCommand.self, TailnetRenameCommand.self,
            TailnetTagCommand.self, TailnetRoutesCommand.self, TailnetApproveNodeCommand.self,
            TailnetExpireCommand.self,
            TailnetDeleteCommand.self, TailnetLoginsCommand.self, TailnetApproveCommand.self, TailnetDenyCommand.self,
            TailnetPolicyCommand.self, TailnetDNSCommand.self,
        ]
    )
}

/// `warren tailnet auth-key`.
struct TailnetAuthKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "auth-key",
        abstract: "Keys that let nodes in without a login.",
        subcommands: [AuthKeyCreateCommand.self, AuthKeyListCommand.self, AuthKeyRemoveCommand.self]
    )
}

/// `warren tailnet auth-key create`.
struct AuthKeyCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a key and print it, this once."
    )

    @Flag(help: "It lets any number of nodes in.")
    var reusable = false

    @Flag(help: "Its nodes are forgotten when they are gone.")
    var ephemeral = false

    @Flag(help: "Its nodes need no approval where devices are approved.")
    var preapproved = false

    @Option(help: "How long it is good, such as 24h.")
    var expiry: String?

    @Option(help: ArgumentHelp("A tag of its nodes.", valueName: "tag:name"))
    var tag: [String] = []

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        var body: [String: JSONTree] = [:]
        if reusable { body["reusable"] = true }
        if ephemeral { body["ephemeral"] = true }
        if preapproved { body["preapproved"] = true }
        body["expiry"] = expiry.map(JSONTree.string)
        if !tag.isEmpty { body["tags"] = .array(tag.map(JSONTree.string)) }
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.POST, "/v1/tailnet/auth-keys", body: .object(body))
            if connection.json { return Terminal.json(bytes) }
            let key = try ModelJSON.decode(AuthKeyAnswer.self, from: bytes)
            Terminal.say(key.key ?? key.id)
        }
    }
}

/// `warren tailnet auth-key ls`.
struct AuthKeyListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ls", abstract: "List keys.", aliases: ["list"])

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.GET, "/v1/tailnet/auth-keys")
            if connection.json { return Terminal.json(bytes) }
            var table = Table("ID", "STATE", "USES", "REUSABLE", "EPHEMERAL", "TAGS", "EXPIRES")
            for key in try ModelJSON.decode(Page<AuthKeyAnswer>.self, from: bytes).items {
                let state = key.revoked ? "revoked" : key.used && !key.reusable ? "used" : "good"
                table.add(
                    key.id,
                    state,
                    String(key.useCount),
                    key.reusable ? "yes" : "no",
                    key.ephemeral ? "yes" : "no",
                    key.tags.joined(separator: " "),
                    key.expiresAt.description
                )
            }
            Terminal.say(table.text)
        }
    }
}

/// `warren tailnet auth-key rm`.
struct AuthKeyRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Revoke a key; its nodes stay.",
        aliases: ["revoke"]
    )

    @Argument(help: "Its id.")
    var id: String

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            _ = try await daemon.bytes(.DELETE, "/v1/tailnet/auth-keys/" + URLText.escaped(id))
            if !connection.json { Terminal.say("\(id) revoked") }
        }
    }
}

/// `warren tailnet logins`.
struct TailnetLoginsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logins",
        abstract: "List logins that wait for approval."
    )

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.GET, "/v1/tailnet/logins")
            if connection.json { return Terminal.json(bytes) }
            var table = Table("ID", "HOSTNAME", "OS", "FROM", "SINCE", "EXPIRES")
            for login in try ModelJSON.decode(Page<TailnetLoginAnswer>.self, from: bytes).items {
                table.add(
                    login.id,
                    login.hostname,
                    login.os,
                    login.remoteAddress,
                    login.createdAt.description,
                    login.expiresAt.description
                )
            }
            Terminal.say(table.text)
        }
    }
}

/// `warren tailnet approve`.
struct TailnetApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "approve", abstract: "Let a waiting login in.")

    @Argument(help: "The id of the login, as `warren tailnet logins` shows it.")
    var id: String

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await LoginDecision.post("approve", id, connection)
    }
}

/// `warren tailnet deny`.
struct TailnetDenyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "deny", abstract: "Turn a waiting login away.")

    @Argument(help: "The id of the login.")
    var id: String

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await LoginDecision.post("deny", id, connection)
    }
}

/// What `approve` and `deny` share.
private enum LoginDecision {
    static func post(_ decision: String, _ id: String, _ connection: ConnectionOptions) async throws {
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.POST, "/v1/tailnet/logins/\(URLText.escaped(id))/\(decision)")
            if connection.json {
                if !bytes.isEmpty { Terminal.json(bytes) }
            } else {
                Terminal.say("\(id) \(decision == "deny" ? "denied" : "approved")")
            }
        }
    }
}

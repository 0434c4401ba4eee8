import ArgumentParser
import Foundation
import WarrenModel

/// `warren tailnet policy`.
struct TailnetPolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Who may reach what.",
        subcommands: [PolicyGetCommand.self, PolicySetCommand.self]
    )
}

/// `warren tailnet policy get`.
struct PolicyGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Print the policy.")

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws { try await SettingDocument.print("/v1/tailnet/policy", connection) }
}

/// `warren tailnet policy set`.
struct PolicySetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Set the policy.")

    @Argument(help: "A JSON file, or - for standard input.")
    var file: String

    @Flag(help: "Only check it.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        let target = "/v1/tailnet/policy" + (dryRun ? "?dryRun=true" : "")
        try await SettingDocument.set(target, file, dryRun ? "the policy is good" : "the policy is set", connection)
    }
}

/// `warren tailnet dns`.
struct TailnetDNSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dns",
        abstract: "What nodes are told about DNS.",
        subcommands: [DNSGetCommand.self, DNSSetCommand.self, DNSResetCommand.self]
    )
}

/// `warren tailnet dns get`.
struct DNSGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Print the settings.")

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws { try await SettingDocument.print("/v1/tailnet/dns", connection) }
}

/// `warren tailnet dns set`.
struct DNSSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Replace the settings.")

    @Argument(help: "A JSON file, or - for standard input.")
    var file: String

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await SettingDocument.set("/v1/tailnet/dns", file, "the DNS settings are set", connection)
    }
}

/// `warren tailnet dns reset`.
struct DNSResetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset",
        abstract: "Go back to the settings of the configuration."
    )

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            _ = try await daemon.bytes(.DELETE, "/v1/tailnet/dns")
            if !connection.json { Terminal.say("the DNS settings are those of the configuration") }
        }
    }
}

/// Settings that are one JSON document, which `get` prints so that `set` takes it back.
private enum SettingDocument {
    static func print(_ target: String, _ connection: ConnectionOptions) async throws {
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.GET, target)
            if connection.json { return Terminal.json(bytes) }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            Terminal.say(String(decoding: try encoder.encode(JSONTree(parsing: bytes)), as: UTF8.self))
        }
    }

    static func set(_ target: String, _ file: String, _ done: String, _ connection: ConnectionOptions) async throws {
        let source = file == "-" ? "/dev/stdin" : file
        guard let data = FileManager.default.contents(atPath: source) else {
            throw CommandFailure.usage("\(file) cannot be read.")
        }
        let body: JSONTree
        do {
            body = try JSONTree(parsing: Array(data))
        } catch {
            throw CommandFailure.usage("\(file) is no JSON: \(error.detail)")
        }
        try await connection.withDaemon { daemon in
            let bytes = try await daemon.bytes(.PUT, target, body: body)
            if connection.json { Terminal.json(bytes) } else { Terminal.say(done) }
        }
    }
}

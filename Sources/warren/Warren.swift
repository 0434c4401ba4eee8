import ArgumentParser
import Glibc

/// The command line of Warren.
@main
struct Warren: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warren",
        abstract: "Linux VMs that are nodes of your tailnet.",
        discussion: """
            The daemon is found by --url or WARREN_URL (http://…, https://…, unix:/path), then at the Unix socket of the \
            default state directory. Over TCP a token is taken from --token-file, WARREN_TOKEN, or, on this machine, \
            the admin token file.
            Exit codes: 0 done, 1 the API said no, 2 usage, 3 not reachable, 124 timed out; exec passes the command's own.
            """,
        version: "0.1.0",
        subcommands: [
            VMCommand.self, ExecCommand.self, LoginURLCommand.self, NetworkCommand.self, TailnetCommand.self,
            EventsCommand.self,
        ]
    )

    static func main() async {
        do {
            var command = try parseAsRoot(Self.ordered(Array(CommandLine.arguments.dropFirst())))
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            Terminal.complain("warren: \(failure)")
            Glibc.exit(failure.exitCode)
        } catch let status as ExitCode {
            Glibc.exit(status.rawValue)
        } catch {
            let isAnswer = exitCode(for: error) == .success
            let text = fullMessage(for: error)
            if isAnswer { Terminal.say(text) } else { Terminal.complain(text) }
            // The argument parser's own code for a usage error is 64; scripts of users rely on 2.
            Glibc.exit(isAnswer ? 0 : 2)
        }
    }

    /// The arguments with the options of every command moved behind the command, when they stand before it.
    private static func ordered(_ arguments: [String]) -> [String] {
        var rest = arguments[...]
        var leading: [String] = []
        while let option = rest.first {
            let name = option.prefix { $0 != "=" }
            if option == "--json" || (name != option && ["--url", "--token-file"].contains(name)) {
                leading.append(rest.removeFirst())
            } else if ["--url", "--token-file"].contains(option), rest.count > 1 {
                leading += [rest.removeFirst(), rest.removeFirst()]
            } else {
                break
            }
        }
        var command: any ParsableCommand.Type = Warren.self
        var path: [String] = []
        while let word = rest.first, let next = command.configuration.subcommands.first(where: { $0.answers(to: word) })
        {
            path.append(rest.removeFirst())
            command = next
        }
        return path + leading + rest
    }
}

extension ParsableCommand {
    fileprivate static func answers(to word: String) -> Bool {
        configuration.commandName == word || configuration.aliases.contains(word)
    }
}

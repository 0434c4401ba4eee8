import ArgumentParser
import Glibc
import WarrenDaemon
import WarrenModel

/// The daemon's command line.
@main
struct Warrend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warrend",
        abstract: "Hosts Linux VMs that are nodes of a tailnet, behind an HTTP API.",
        discussion: """
            Without --config, \(SystemPaths.configurationFile) is read when it exists, else the defaults hold.
            Exit codes: 0 done, 64 usage, 70 internal, 73 cannot create state or bind a port, 75 already running, \
            78 configuration or database unusable.
            """,
        version: DaemonVersion.text
    )

    @Option(help: ArgumentHelp("The configuration file.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The state directory, instead of the configured one.", valueName: "dir"))
    var stateDir: String?

    @Flag(help: "Check the configuration, print what is in effect, and end.")
    var checkConfig = false

    mutating func run() async throws {
        let code = await DaemonProcess.run(config: config, stateDirectory: stateDir, onlyCheck: checkConfig)
        if code != .success { throw ArgumentParser.ExitCode(code.rawValue) }
    }
}

import ArgumentParser
import WarrenModel

/// `warren vm wait`.
struct VMWaitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait until a VM, its network or its agent is as named.",
        discussion: "Exit code 124 when the time is up, 1 when the VM failed or is gone."
    )

    @Argument(help: "Its name or id.")
    var vm: String

    @Option(help: "The state of the VM, such as running or stopped.")
    var state: String?

    @Option(help: "The state of its network, such as Running or NeedsLogin.")
    var network: String?

    @Flag(help: "The agent in the guest answers.")
    var agent = false

    @Option(help: "How long to wait.")
    var timeout = "60s"

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard state != nil || network != nil || agent else {
            throw ValidationError("name at least one of --state, --network and --agent")
        }
        guard Duration(goText: timeout) != nil else {
            throw ValidationError("--timeout must be a duration such as 60s")
        }
    }

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            let query = URLText.query([
                ("state", state), ("network", network), ("agent", agent ? "ready" : nil), ("timeout", timeout),
            ])
            let bytes = try await daemon.bytes(.GET, VMTarget.path(vm, "/wait" + query))
            let answer = try ModelJSON.decode(WaitAnswer.self, from: bytes)
            if connection.json { Terminal.json(bytes) }
            guard let now = answer.vm else { throw CommandFailure.notPossible("\(vm) is gone") }
            if answer.reached {
                if !connection.json { Terminal.say(VMText.table([now])) }
                return
            }
            if now.state == .failed {
                throw CommandFailure.notPossible("\(vm) failed: \(now.stateReason?.message ?? "no reason is known")")
            }
            let network = now.network.map { ", network \($0.state.rawValue)" } ?? ""
            throw CommandFailure.timedOut("\(vm) is \(now.state.rawValue)\(network) after \(timeout)")
        }
    }
}

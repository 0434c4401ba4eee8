import ArgumentParser
import WarrenModel

/// `warren login-url`.
struct LoginURLCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login-url",
        abstract: "Print the URL at which a VM's node is let into its tailnet.",
        discussion: "Waits for it when the node has not asked yet."
    )

    @Argument(help: "The name or id of the VM.")
    var vm: String

    @Option(help: "How long to wait.")
    var timeout = "30s"

    @OptionGroup var connection: ConnectionOptions

    mutating func run() async throws {
        try await connection.withDaemon { daemon in
            let query = URLText.query([("network", "NeedsLogin"), ("timeout", timeout)])
            let first = try await show(daemon)
            if try say(first) { return }
            if first.vm.network == nil { throw CommandFailure.notPossible("\(vm) has no network interface") }
            if first.vm.network?.state == .running {
                throw CommandFailure.notPossible("\(vm) needs no login: its network is Running")
            }
            _ = try await daemon.bytes(.GET, VMTarget.path(vm, "/wait" + query))
            let second = try await show(daemon)
            if try say(second) { return }
            let state = second.vm.network?.state.rawValue ?? "none"
            throw CommandFailure.timedOut("\(vm) has no login URL after \(timeout): its network is \(state)")
        }
    }

    private func show(_ daemon: DaemonConnection) async throws -> (bytes: [UInt8], vm: VirtualMachine) {
        let bytes = try await daemon.bytes(.GET, VMTarget.path(vm))
        return (bytes, try ModelJSON.decode(VirtualMachine.self, from: bytes))
    }

    private func say(_ answer: (bytes: [UInt8], vm: VirtualMachine)) throws -> Bool {
        guard let url = answer.vm.network?.loginUrl else { return false }
        if connection.json { Terminal.json(answer.bytes) } else { Terminal.say(url) }
        return true
    }
}

package import NIOCore
import WarrenModel

extension QMPClient {
    /// Saves the devices of a guest whose memory a shim holds, and leaves it standing.
    ///
    /// - Returns: what `restoreState` needs, beside the memory.
    /// - Throws: `QEMUError`.
    package func saveState(in directory: VMDirectory, group: any EventLoopGroup) async throws -> [UInt8] {
        let sink = try await StateSink.open(in: directory, group: group)
        defer { sink.close() }
        try await leaveMemoryInPlace()
        _ = try await execute("migrate", ["uri": .string("unix:\(QEMUArguments.stateSocket)")])
        try await untilMigrated(named: "migrate")
        return try await sink.collect(timeout: QEMUDefaults.monitorTimeout)
    }

    /// Gives a clone, started with `QEMULaunch.GuestMemory.cloned`, its devices; it runs from then on.
    ///
    /// - Throws: `QEMUError.refused` when the state is not one of such a machine.
    package func restoreState() async throws {
        try await leaveMemoryInPlace()
        _ = try await execute("migrate-incoming", ["uri": .string(QEMUArguments.stateSource)])
        let clock = ContinuousClock()
        let deadline = clock.now + QEMUDefaults.monitorTimeout
        var pause: Duration = .milliseconds(2)
        while clock.now < deadline {
            switch try await queryStatus() {
            case .running: return
            case .incoming: break
            case let other: throw QEMUError.refused(command: "migrate-incoming", description: other.rawValue)
            }
            try await clock.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(20))
        }
        throw QEMUError.timedOut(command: "migrate-incoming")
    }

    private func leaveMemoryInPlace() async throws {
        let capability: JSONTree = .object(["capability": .string("x-ignore-shared"), "state": .bool(true)])
        _ = try await execute("migrate-set-capabilities", ["capabilities": .array([capability])])
    }

    private func untilMigrated(named command: String) async throws {
        let clock = ContinuousClock()
        let deadline = clock.now + QEMUDefaults.monitorTimeout
        while clock.now < deadline {
            let answer = try await execute("query-migrate")
            switch answer["status"]?.string {
            case "completed": return
            case "failed", "cancelled":
                throw QEMUError.refused(command: command, description: answer["error-desc"]?.string ?? "it failed")
            default: try await clock.sleep(for: .milliseconds(5))
            }
        }
        throw QEMUError.timedOut(command: command)
    }
}

package import NIOCore
package import WarrenModel

/// A connection to the monitor of one QEMU: typed commands out, typed events in.
package actor QMPClient {
    private let channel: any Channel

    private init(channel: any Channel) { self.channel = channel }

    /// Connects, waits for the greeting and leaves the negotiation mode.
    ///
    /// `onEvent` runs on the connection's loop.
    ///
    /// - Throws: `QEMUError.notListening`, `.closed`, `.timedOut`.
    package static func connect(
        to directory: VMDirectory,
        group: any EventLoopGroup,
        onEvent: @escaping @Sendable (QMPEvent) -> Void
    ) async throws -> QMPClient {
        let eventLoop = group.next()
        let greeting = eventLoop.makePromise(of: Void.self)
        let channel: any Channel
        do {
            channel = try await directory.connect(to: .monitor, group: eventLoop) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        LineHandler(limit: QEMUDefaults.maxMonitorLine),
                        QMPHandler(greeting: greeting, onEvent: onEvent)
                    )
                }
            }
        } catch {
            greeting.fail(error)
            throw error
        }
        let timeout = eventLoop.scheduleTask(in: TimeAmount(QEMUDefaults.monitorTimeout)) {
            greeting.fail(QEMUError.timedOut(command: "greeting"))
        }
        defer { timeout.cancel() }
        let client = QMPClient(channel: channel)
        do {
            try await greeting.futureResult.get()
            _ = try await client.execute("qmp_capabilities")
            return client
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }

    /// Runs any command.
    ///
    /// - Throws: `QEMUError.refused`, `.timedOut`, `.closed`.
    package func execute(
        _ command: String,
        _ arguments: [String: JSONTree] = [:],
        timeout: Duration = QEMUDefaults.monitorTimeout
    ) async throws -> JSONTree {
        let answer = channel.eventLoop.makePromise(of: JSONTree.self)
        let call = QMPCall(command: command, arguments: arguments, timeout: timeout, answer: answer)
        channel.writeAndFlush(call).whenFailure { _ in
            answer.fail(QEMUError.closed(socket: VMDirectory.Entry.monitor.rawValue))
        }
        return try await answer.futureResult.get()
    }

    /// What the virtual machine is doing.
    package func queryStatus() async throws -> QMPRunState {
        QMPRunState(rawValue: try await execute("query-status")["status"]?.string ?? "")
    }

    /// QEMU's version.
    package func queryVersion() async throws -> String {
        let version = try await execute("query-version")["qemu"]
        return ["major", "minor", "micro"].map { "\(version?[$0]?.integer ?? 0)" }.joined(separator: ".")
    }

    /// Stops the virtual CPUs.
    package func stop() async throws { _ = try await execute("stop") }

    /// Lets the virtual CPUs run.
    package func cont() async throws { _ = try await execute("cont") }

    /// Presses the power button.
    package func systemPowerdown() async throws { _ = try await execute("system_powerdown") }

    /// Ends QEMU.
    package func quit() async throws { _ = try await execute("quit") }

    /// Gives the guest's NIC a carrier, or takes it away.
    package func setLink(up: Bool) async throws {
        _ = try await execute("set_link", ["name": .string(QEMUArguments.nicID), "up": .bool(up)])
    }

    /// Lets go of the monitor.
    package func close() { channel.close(promise: nil) }
}

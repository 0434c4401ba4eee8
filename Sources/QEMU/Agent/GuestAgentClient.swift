import FoundationEssentials
package import NIOCore
package import WarrenModel

/// The agent inside one guest. Connects when first needed and again when the connection broke.
package actor GuestAgentClient {
    private let directory: VMDirectory
    private let eventLoop: any EventLoop
    private var connection: Connection?

    private struct Connection {
        let number: Int
        let channel: EventLoopFuture<any Channel>
    }
    private var connectionCount = 0
    private var isClosed = false
    private var abandon: (@Sendable () -> Void)?

    /// A client for the guest of `directory`; nothing is connected yet.
    package init(directory: VMDirectory, group: any EventLoopGroup) {
        self.directory = directory
        eventLoop = group.next()
    }

    /// Waits until the agent answers, for at most `timeout`.
    ///
    /// - Throws: `QEMUError.timedOut`, `.notListening`, `.closed`.
    package func waitUntilReady(timeout: Duration) async throws {
        _ = try await channel(timeout: timeout)
    }

    /// Runs a command of the agent.
    ///
    /// - Throws: `QEMUError.refused`, `.timedOut`, `.closed`, `.notListening`.
    package func call(
        _ command: String,
        _ arguments: [String: JSONTree] = [:],
        timeout: Duration = QEMUDefaults.agentTimeout
    ) async throws -> JSONTree {
        let channel = try await channel(timeout: timeout)
        let answer = channel.eventLoop.makePromise(of: JSONTree.self)
        channel.writeAndFlush(AgentCall(command: command, arguments: arguments, timeout: timeout, answer: answer))
            .whenFailure { _ in answer.fail(QEMUError.closed(socket: VMDirectory.Entry.agent.rawValue)) }
        return try await answer.futureResult.get()
    }

    /// Whether the agent answers now.
    package func ping(timeout: Duration = QEMUDefaults.agentTimeout) async throws {
        _ = try await call("guest-ping", timeout: timeout)
    }

    /// The ways to end a guest.
    package enum ShutdownMode: String, Sendable {
        /// Power off, stand still, or start again.
        case powerdown, halt, reboot
    }

    /// Asks the guest to end; the agent does not answer that.
    package func shutdown(_ mode: ShutdownMode = .powerdown, timeout: Duration = QEMUDefaults.agentTimeout) async throws
    {
        let channel = try await channel(timeout: timeout)
        let call = AgentCall(
            command: "guest-shutdown",
            arguments: ["mode": .string(mode.rawValue)],
            timeout: timeout,
            answer: nil
        )
        try await channel.writeAndFlush(call).get()
    }

    /// Sets the guest's clock to this host's time.
    package func setTime(timeout: Duration = QEMUDefaults.agentTimeout) async throws {
        _ = try await call("guest-set-time", ["time": Self.hostTime], timeout: timeout)
    }

    /// This host's time as agents take it: nanoseconds since 1970.
    static var hostTime: JSONTree { .integer(Int64(Date().timeIntervalSince1970 * 1_000_000_000)) }

    /// The guest's host name.
    package func hostName() async throws -> String {
        try await call("guest-get-host-name")["host-name"]?.string ?? ""
    }

    /// Runs a program in the guest and waits for its end; its output is kept up to `ExecAnswer.outputLimit`.
    ///
    /// - Throws: `QEMUError.refused` when it cannot be started, `.unsupportedByAgent`, and what `call` throws.
    package func exec(_ request: ExecRequest) async throws -> ExecAnswer {
        let isOurs = try await call("guest-info")["version"]?.string?.hasPrefix("warren-agent") ?? false
        let started = try await call("guest-exec", try GuestExec.arguments(request, agentIsOurs: isOurs))
        guard let pid = started["pid"]?.integer else {
            throw QEMUError.refused(command: "guest-exec", description: "the agent named no process")
        }
        // The agent ends what takes too long; one that cannot, or is starved, gets some time more before we stop asking.
        let clock = ContinuousClock()
        let deadline = clock.now + request.timeout + (isOurs ? .seconds(5) : .zero)
        var pause: Duration = .milliseconds(4)
        while true {
            let status = try await call("guest-exec-status", ["pid": .integer(pid)])
            if status["exited"]?.bool == true { return GuestExec.answer(status) }
            guard clock.now < deadline else { return ExecAnswer(exitCode: nil, stdout: [], stderr: [], timedOut: true) }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(100))
        }
    }

    /// Lets go of the agent for good.
    package func close() {
        isClosed = true
        connection?.channel.whenSuccess { $0.close(promise: nil) }
        abandon?()
        connection = nil
    }

    /// The one connection: QEMU serves one client at a time, so that all callers share it.
    private func channel(timeout: Duration) async throws -> any Channel {
        while true {
            guard !isClosed else { throw QEMUError.closed(socket: VMDirectory.Entry.agent.rawValue) }
            let connection = self.connection ?? makeConnection()
            let mine = eventLoop.makePromise(of: (any Channel).self)
            let timer = eventLoop.scheduleTask(in: TimeAmount(timeout)) {
                mine.fail(QEMUError.timedOut(command: "guest-sync-delimited"))
            }
            connection.channel.cascade(to: mine)
            defer { timer.cancel() }
            do {
                let channel = try await mine.futureResult.get()
                if channel.isActive { return channel }
                // One that broke since: the next round makes a new one.
                forget(connection)
            } catch {
                // An agent that has not answered yet may still do so: that connection stays.
                if error as? QEMUError != .timedOut(command: "guest-sync-delimited") { forget(connection) }
                throw error
            }
        }
    }

    private func forget(_ connection: Connection) {
        if self.connection?.number == connection.number { self.connection = nil }
    }

    private func makeConnection() -> Connection {
        let ready = eventLoop.makePromise(of: Void.self)
        let opened = eventLoop.makeFutureWithTask { [directory, eventLoop] in
            do {
                return try await directory.connect(to: .agent, group: eventLoop) { channel in
                    channel.setOption(.autoRead, value: false).flatMapThrowing {
                        try channel.pipeline.syncOperations.addHandler(GuestAgentHandler(ready: ready))
                    }
                }
            } catch {
                ready.fail(error)
                throw error
            }
        }
        connectionCount += 1
        let connection = Connection(
            number: connectionCount,
            channel: opened.flatMap { channel in ready.futureResult.map { channel } }
        )
        abandon = { opened.whenSuccess { $0.close(promise: nil) } }
        self.connection = connection
        return connection
    }
}

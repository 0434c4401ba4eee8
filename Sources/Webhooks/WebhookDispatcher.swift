package import Logging
package import NIOCore
package import NetTypes
import ServiceLifecycle
package import Store
import Synchronization
package import WarrenModel

/// Delivers what stands in the outbox: signed, in order for each VM and endpoint, at least once.
///
/// Nothing here is remembered but in the store, so a daemon that dies between a delivery and its record repeats it.
package struct WebhookDispatcher: Service {
    /// What the configuration says about deliveries.
    package struct Configuration: Sendable {
        /// How long one delivery may take.
        package var timeout: Duration
        /// How many deliveries may be under way at once.
        package var maxInFlight: Int
        /// How receivers see us.
        package var userAgent: String

        /// Joins the parts.
        package init(timeout: Duration = .seconds(15), maxInFlight: Int = 128, userAgent: String = "warren") {
            self.timeout = timeout
            self.maxInFlight = maxInFlight
            self.userAgent = userAgent
        }
    }

    private let store: WarrenDatabase
    private let configuration: Configuration
    private let clock: any DeliveryClock
    private let sender: WebhookSender
    private let clients: PinnedClients
    private let logger: Logger
    private let state = DispatchState()

    /// How long to wait when the store fails, so that a full disk is not hammered.
    private static let storePause = Duration.seconds(5)

    /// Sets up deliveries; nothing happens before `run`.
    package init(
        store: WarrenDatabase,
        policy: any DialPolicy & WebTargetPolicy,
        configuration: Configuration = Configuration(),
        resolver: (any HostResolver)? = nil,
        clock: any DeliveryClock = SystemDeliveryClock(),
        group: any EventLoopGroup,
        logger: Logger
    ) {
        self.store = store
        self.configuration = configuration
        self.clock = clock
        self.logger = logger
        clients = PinnedClients(group: group, connectTimeout: min(configuration.timeout, .seconds(5)))
        sender = WebhookSender(
            policy: policy,
            resolver: resolver ?? SystemHostResolver(group: group, timeout: configuration.timeout),
            clients: clients,
            timeout: configuration.timeout,
            userAgent: configuration.userAgent
        )
    }

    /// Delivers until the task is cancelled or the service is asked to shut down; deliveries under way are then broken off.
    package func run() async throws {
        let (wakeUps, waker) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await watchOutbox(waker) }
                waker.yield()
                for await _ in wakeUps {
                    let next = await startDue(in: &group, waker)
                    guard let next, state.setAlarm(next) else { continue }
                    group.addTask {
                        // Cancelled only together with the loop that it would wake.
                        try? await clock.sleep(until: next)
                        state.clearAlarm(next)
                        waker.yield()
                    }
                }
                group.cancelAll()
            }
        }
        await clients.shutdown()
    }

    private func watchOutbox(_ waker: AsyncStream<Void>.Continuation) async {
        var level = store.outboxLevel
        waker.yield()
        while !Task.isCancelled {
            level = await store.waitForDeliveries(after: level)
            waker.yield()
        }
    }

    /// Starts what is due and may start; answers when to look again if nothing else happens before.
    private func startDue(
        in group: inout DiscardingTaskGroup,
        _ waker: AsyncStream<Void>.Continuation
    ) async -> Timestamp? {
        let busy = state.busy
        let room = configuration.maxInFlight - busy.count
        // Without room, the end of a delivery wakes the loop.
        guard room > 0 else { return nil }
        do {
            let due = try await store.dueDeliveries(now: clock.now, limit: room, busy: busy)
            for record in due {
                state.begin(record.queue)
                group.addTask {
                    await deliver(record)
                    state.end(record.queue)
                    waker.yield()
                }
            }
            return try await store.nextDelivery(busy: state.busy)
        } catch StoreError.cancelled {
            return nil
        } catch {
            logger.error("deliveries cannot be read", metadata: ["error": "\(error)"])
            return clock.now + Self.storePause
        }
    }

    private func deliver(_ record: OutboxRecord) async {
        let startedAt = clock.now
        let begin = ContinuousClock.now
        do {
            let answer = try await sender.send(record, now: startedAt)
            let attempt = DeliveryAttempt(
                startedAt: startedAt,
                latency: .now - begin,
                status: answer.status,
                error: answer.error
            )
            let outcome = outcome(of: answer, attempts: record.attempts + 1)
            try await store.finishAttempt(of: record.id, attempt, outcome: outcome, now: clock.now)
            log(record, attempt, outcome)
        } catch is CancellationError {
            // Shutting down: the delivery stays pending and is repeated.
        } catch StoreError.cancelled {
            // As above.
        } catch {
            logger.error(
                "a delivery could not be recorded",
                metadata: ["delivery": "\(record.id)", "vm-id": "\(record.queue.vmID)", "error": "\(error)"]
            )
            // The row is still due; without a pause it would be sent again at once.
            try? await clock.sleep(until: clock.now + Self.storePause)
        }
    }

    private func outcome(of answer: DeliveryAnswer, attempts: Int) -> DeliveryOutcome {
        var retryAfter: Duration?
        switch answer {
        case .status(200...299, _): return .delivered
        case .status(410, _): return .disabled
        case .status(_, let wish): retryAfter = wish
        case .failure: break
        }
        let delay = RetrySchedule.delay(
            afterAttempts: attempts,
            retryAfter: retryAfter,
            random: Double.random(in: 0...1)
        )
        return delay.map { .retry(at: clock.now + $0) } ?? .failed
    }

    private func log(_ record: OutboxRecord, _ attempt: DeliveryAttempt, _ outcome: DeliveryOutcome) {
        var metadata: Logger.Metadata = [
            "delivery": "\(record.id)", "vm-id": "\(record.queue.vmID)", "endpoint": "\(record.queue.endpoint)",
            "host": "\(record.url.host)", "type": "\(record.eventType.rawValue)",
        ]
        if let status = attempt.status { metadata["status"] = "\(status)" }
        if let error = attempt.error { metadata["error"] = "\(error)" }
        switch outcome {
        case .delivered: logger.debug("delivered", metadata: metadata)
        case .retry(let moment):
            metadata["next"] = "\(moment)"
            logger.warning("delivery failed, will retry", metadata: metadata)
        case .failed: logger.error("delivery given up", metadata: metadata)
        case .disabled: logger.error("endpoint is gone and was disabled", metadata: metadata)
        }
    }
}

extension DeliveryAnswer {
    fileprivate var status: Int? {
        if case .status(let code, _) = self { code } else { nil }
    }

    fileprivate var error: String? {
        switch self {
        case .status(200...299, _): nil
        case .status(let code, _): "status \(code)"
        case .failure(let reason): reason
        }
    }
}

/// Which queues are being served, and for when the loop has an alarm.
private final class DispatchState: Sendable {
    private let content = Mutex((busy: Set<DeliveryQueue>(), alarm: Timestamp?.none))

    var busy: Set<DeliveryQueue> { content.withLock { $0.busy } }

    func begin(_ queue: DeliveryQueue) { content.withLock { _ = $0.busy.insert(queue) } }

    func end(_ queue: DeliveryQueue) { content.withLock { _ = $0.busy.remove(queue) } }

    /// Notes an alarm; answers whether it is earlier than the one there is, and so must be set.
    func setAlarm(_ moment: Timestamp) -> Bool {
        content.withLock { content in
            if let alarm = content.alarm, alarm <= moment { return false }
            content.alarm = moment
            return true
        }
    }

    /// Takes back an alarm that rang, unless an earlier one replaced it.
    func clearAlarm(_ moment: Timestamp) {
        content.withLock { if $0.alarm == moment { $0.alarm = nil } }
    }
}

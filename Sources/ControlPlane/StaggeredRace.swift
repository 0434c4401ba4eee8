/// Attempts at the same thing, side by side: the first success wins, the others are cancelled.
enum StaggeredRace {
    /// One attempt.
    struct Entry<Value: Sendable>: Sendable {
        /// How long it waits for the others; it starts earlier when none of them runs any more.
        let delay: Duration
        /// Ends promptly when its task is cancelled.
        let run: @Sendable () async -> Result<Value, ControlError>
    }

    private enum Event<Value: Sendable>: Sendable {
        case due(Int)
        case ended(Int, Result<Value, ControlError>)
    }

    /// What came of all attempts: a value, or the error of each in their order.
    enum Outcome<Value: Sendable>: Sendable {
        case won(Value)
        case lost([ControlError])
    }

    /// Runs the attempts; values that come too late go to `discard`.
    static func run<Value: Sendable>(
        _ entries: [Entry<Value>],
        discard: @Sendable (Value) -> Void
    ) async -> Outcome<Value> {
        await withTaskGroup(of: Event<Value>.self) { group in
            var waiting = entries.indices.sorted { entries[$0].delay < entries[$1].delay }
            var errors = [ControlError](repeating: .connectionClosed, count: entries.count)
            var runningCount = 0
            var winner: Value?
            func start(_ index: Int) {
                guard let place = waiting.firstIndex(of: index), winner == nil, !Task.isCancelled else { return }
                waiting.remove(at: place)
                runningCount += 1
                group.addTask { .ended(index, await entries[index].run()) }
            }
            for (index, entry) in entries.enumerated() where entry.delay > .zero {
                group.addTask {
                    // A cancelled wait is over; nothing starts any more then.
                    try? await Task.sleep(for: entry.delay)
                    return .due(index)
                }
            }
            for index in waiting where entries[index].delay <= .zero { start(index) }
            if runningCount == 0, let next = waiting.first { start(next) }
            while let event = await group.next() {
                switch event {
                case .due(let index):
                    start(index)
                case .ended(_, .success(let value)):
                    runningCount -= 1
                    if winner == nil { winner = value } else { discard(value) }
                    group.cancelAll()
                case .ended(let index, .failure(let error)):
                    runningCount -= 1
                    errors[index] = error
                    if runningCount == 0, let next = waiting.first { start(next) }
                    if runningCount == 0 { group.cancelAll() }
                }
            }
            return winner.map { .won($0) } ?? .lost(errors)
        }
    }

    /// Runs one attempt for at most `limit`.
    static func run<Value: Sendable>(
        within limit: Duration,
        discard: @Sendable (Value) -> Void,
        _ body: @escaping @Sendable () async -> Result<Value, ControlError>
    ) async -> Result<Value, ControlError> {
        await withTaskGroup(of: Result<Value, ControlError>?.self) { group in
            group.addTask { await body() }
            group.addTask {
                // Ends early when the attempt has ended, which is known then.
                try? await Task.sleep(for: limit)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            for await late in group {
                if first == nil, case .success(let value)? = late { discard(value) }
            }
            return first ?? .failure(.timedOut)
        }
    }
}

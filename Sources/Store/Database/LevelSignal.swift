import Synchronization

/// A number that only grows and that tasks can wait for: a level, so that nobody misses what happened before it asked.
final class LevelSignal: Sendable {
    private struct State {
        var level: Int64
        var nextWaiter = 0
        var waiters: [Int: (above: Int64, continuation: CheckedContinuation<Void, Never>)] = [:]
    }

    private let state: Mutex<State>

    /// Begins at `level`.
    init(level: Int64) {
        state = Mutex(State(level: level))
    }

    /// The number now.
    var level: Int64 { state.withLock { $0.level } }

    /// Raises the number to `level`, if that is more, and wakes who waited for it.
    func raise(to level: Int64) {
        lift { max($0, level) }
    }

    /// Raises the number by one.
    func raise() {
        lift { $0 + 1 }
    }

    private func lift(_ change: (Int64) -> Int64) {
        let woken = state.withLock { state in
            state.level = change(state.level)
            let due = state.waiters.filter { $0.value.above < state.level }
            for key in due.keys { state.waiters[key] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in woken { continuation.resume() }
    }

    /// Returns once the number is above `level`, or the task is cancelled; answers the number.
    func wait(above level: Int64) async -> Int64 {
        let waiter = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDue = state.withLock { state in
                    guard state.level <= level, !Task.isCancelled else { return true }
                    state.waiters[waiter] = (level, continuation)
                    return false
                }
                if isDue { continuation.resume() }
            }
        } onCancel: {
            let continuation = state.withLock { $0.waiters.removeValue(forKey: waiter)?.continuation }
            continuation?.resume()
        }
        return self.level
    }
}

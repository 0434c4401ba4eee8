import Synchronization

/// A number that only grows and that tasks can wait for: a level, so that nobody misses what happened before it asked.
package final class ChangeCounter: Sendable {
    private struct State {
        var count: UInt64 = 1
        var nextWaiter: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Begins at one.
    package init() {}

    /// The number now.
    package var count: UInt64 { state.withLock { $0.count } }

    /// Raises the number and wakes everybody.
    package func raise() {
        let woken = state.withLock { state in
            state.count += 1
            defer { state.waiters.removeAll() }
            return Array(state.waiters.values)
        }
        for waiter in woken { waiter.resume() }
    }

    /// Returns once the number is above `count`, or the task is cancelled.
    package func wait(above count: UInt64) async {
        let key = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDue = state.withLock { state in
                    guard state.count <= count, !Task.isCancelled else { return true }
                    state.waiters[key] = continuation
                    return false
                }
                if isDue { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: key) }?.resume()
        }
    }
}

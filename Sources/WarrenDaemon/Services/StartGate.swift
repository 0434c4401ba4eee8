import Synchronization

/// Does something once, when the last of several things has happened.
final class StartGate: Sendable {
    private let left: Mutex<Int>
    private let action: @Sendable () -> Void

    /// Waits for so many things.
    init(count: Int, action: @escaping @Sendable () -> Void) {
        left = Mutex(count)
        self.action = action
    }

    /// One of them has happened.
    func passed() {
        let isLast = left.withLock { left in
            left -= 1
            return left == 0
        }
        if isLast { action() }
    }
}

import NetTypes
import Synchronization

/// A value of which only the newest counts, written anywhere and read by one reader; never on the packet path.
final class LatestValue<Value: Sendable>: Sendable {
    /// Grows with every new value.
    let signal = LevelSignal()
    private let stored: Mutex<Value>

    init(_ value: Value) {
        stored = Mutex(value)
    }

    /// The newest value.
    var value: Value { stored.withLock { $0 } }

    /// Replaces the value and wakes the reader.
    func set(_ value: Value) {
        stored.withLock { $0 = value }
        signal.raise()
    }

    /// Wakes the reader although nothing changed.
    func touch() { signal.raise() }
}

package import Tailcfg

/// How near the end of a node's key is, as far as its owner should be told.
package enum KeyWarning: Int, Hashable, Sendable, Comparable, CaseIterable {
    /// Seven days or less.
    case week = 7
    /// One day or less.
    case day = 1

    /// How many seconds before the end it is due.
    var seconds: Int64 { Int64(rawValue) * 86_400 }

    /// The nearer the end, the greater.
    package static func < (lhs: KeyWarning, rhs: KeyWarning) -> Bool { lhs.rawValue > rhs.rawValue }

    /// The warning that is due for a key; nil for one that never ends, has ended, or ends later.
    package static func due(for expiry: ControlTime, at now: ControlTime) -> KeyWarning? {
        guard !expiry.isZero, expiry > now else { return nil }
        return allCases.filter { expiry <= now.adding(seconds: $0.seconds) }.max()
    }

    /// When the next warning is due; nil when none is.
    static func next(for expiry: ControlTime, after now: ControlTime) -> ControlTime? {
        guard !expiry.isZero else { return nil }
        return allCases.map { expiry.adding(seconds: -$0.seconds) }.filter { $0 > now }.min()
    }
}

import Foundation
package import WarrenModel

/// The time of day, as deliveries are scheduled by it: it must mean the same after a restart.
package protocol DeliveryClock: Sendable {
    /// The moment it is.
    var now: Timestamp { get }
    /// Returns once it is `moment`, or somewhat earlier; throws when the task is cancelled.
    func sleep(until moment: Timestamp) async throws
}

/// The clock of the machine.
package struct SystemDeliveryClock: DeliveryClock {
    /// A clock; all are the same.
    package init() {}

    /// The moment it is.
    package var now: Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)))
    }

    /// Sleeps a minute at most, because somebody may set the clock meanwhile.
    package func sleep(until moment: Timestamp) async throws {
        let wait = min(max(moment - now, .zero), .seconds(60))
        try await ContinuousClock().sleep(for: wait)
    }
}

import Foundation

/// Waiting for what another process does, without a notification to wait on.
enum Poll {
    /// Whether `condition` came true within `limit`.
    static func until(within limit: Duration, _ condition: @Sendable () async throws -> Bool) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            if try await condition() { return true }
            try await pause()
        }
        return try await condition()
    }

    /// The pause between two looks.
    static func pause() async throws { try await ContinuousClock().sleep(for: .milliseconds(20)) }
}

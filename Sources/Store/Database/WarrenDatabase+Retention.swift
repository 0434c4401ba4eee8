package import WarrenModel

/// How long the store keeps what is over.
package enum StoreDefaults {
    /// Events: enough for a reader that was away over a weekend on a busy host, at a few hundred octets each.
    package static let eventCount = 100_000
    /// Deliveries that are over: a week, in which somebody may ask what became of one.
    package static let deliveryLifetime = Duration.seconds(7 * 86_400)
    /// Deleted VMs: the day for which the contract lets people ask how the clean-up went.
    package static let deletedVMLifetime = Duration.seconds(86_400)
}

extension WarrenDatabase {
    /// Forgets what is over and old; to be called every now and then.
    package func forgetOldRows(now: Timestamp) async throws(StoreError) {
        try await trimEvents(keeping: StoreDefaults.eventCount)
        try await trimDeliveries(finishedBefore: now + (.zero - StoreDefaults.deliveryLifetime))
        try await purgeDeletedVMs(before: now + (.zero - StoreDefaults.deletedVMLifetime))
    }
}

import AllocationCounter

/// Counts the allocations and the time of the stretches between `resume` and `pause`.
final class PathMeter {
    private(set) var duration = Duration.zero
    private var base: UInt64 = 0
    private var resumedAt: ContinuousClock.Instant?

    /// The allocations of the measured stretches.
    var allocationCount: UInt64 { allocation_counter_value() - base }

    /// Forgets what was measured.
    func reset() {
        duration = .zero
        base = allocation_counter_value()
    }

    /// Begins a measured stretch.
    func resume() {
        resumedAt = .now
        allocation_counter_set_enabled(true)
    }

    /// Ends a measured stretch.
    func pause() {
        allocation_counter_set_enabled(false)
        if let resumedAt { duration += .now - resumedAt }
        resumedAt = nil
    }

    /// Leaves `body` out of the stretch around it, if there is one.
    func excluding(_ body: () -> Void) {
        let isMeasuring = resumedAt != nil
        if isMeasuring { pause() }
        body()
        if isMeasuring { resume() }
    }

    /// Whether an allocation is noticed at all.
    func noticesAllocations() -> Bool {
        reset()
        var kept: [[Int]] = []
        resume()
        kept.append([CommandLine.arguments.count])
        pause()
        return !kept.isEmpty && allocationCount > 0
    }
}

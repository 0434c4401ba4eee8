package import NetTypes
package import Tailcfg

/// Chooses the home relay from a sequence of latency reports, slow to leave one that works (tailscale netcheck.go).
package struct HomeDERPChooser: Sendable {
    /// The region chosen last; none before anything answered.
    package private(set) var home: DERPRegionID = .none
    private var history: [Report] = []

    private struct Report {
        var at: MonotonicTime
        var latency: [DERPRegionID: Duration]
    }

    /// A chooser that has no home yet, or comes back to one.
    package init(home: DERPRegionID = .none) {
        self.home = home
    }

    /// Takes one report and chooses again.
    ///
    /// - Parameters:
    ///   - latency: The regions that answered in this report.
    ///   - scores: `HomeParams.RegionScore`; factors of zero and below count as absent.
    ///   - startedAt: When the report began.
    ///   - now: When the report was finished.
    ///   - lastFrame: When the home connection last received a frame, if it ever did.
    /// - Returns: The home from now on; none when nothing answers and nothing holds the present one.
    package mutating func choose(
        latency: [DERPRegionID: Duration],
        scores: [DERPRegionID: Double] = [:],
        startedAt: MonotonicTime,
        now: MonotonicTime,
        lastFrame: MonotonicTime? = nil
    ) -> DERPRegionID {
        history.append(Report(at: now, latency: latency))
        history.removeAll { now - $0.at > MagicsockConstants.reportHistory }
        let previous = home
        home = candidate(answeringNow: latency, scores: scores)
        let heard = lastFrame.map { $0 > startedAt || now - $0 <= MagicsockConstants.homeFrameFreshness } == true
        if !previous.isNone, !home.isNone, home != previous, latency[previous] != nil || heard {
            let gainedLatency = scaled(latency[home] ?? .zero, home, scores)
            let best = bestRecent(home, scores) ?? gainedLatency
            let current = scaled(latency[previous] ?? .zero, previous, scores)
            let isSmallGain = current - best < MagicsockConstants.homeAbsoluteGain
            // Integer nanoseconds, divided first, as the reference rounds.
            let isSmallShare = best.wholeNanoseconds > current.wholeNanoseconds / 3 * 2
            if isSmallGain || isSmallShare { home = previous }
        }
        if home.isNone, let lastFrame, now - lastFrame <= MagicsockConstants.homeKeptAlive { home = previous }
        return home
    }

    /// Settles on a region that was not measured, because a node without a home cannot be reached.
    package mutating func settle(on region: DERPRegionID) {
        home = region
    }

    private func candidate(
        answeringNow latency: [DERPRegionID: Duration],
        scores: [DERPRegionID: Double]
    ) -> DERPRegionID {
        let ranked = latency.keys.sorted().map { ($0, bestRecent($0, scores) ?? .zero) }
        return ranked.min { $0.1 < $1.1 }?.0 ?? .none
    }

    private func bestRecent(_ region: DERPRegionID, _ scores: [DERPRegionID: Double]) -> Duration? {
        history.compactMap { $0.latency[region] }.min().map { scaled($0, region, scores) }
    }

    private func scaled(_ latency: Duration, _ region: DERPRegionID, _ scores: [DERPRegionID: Double]) -> Duration {
        guard let score = scores[region], score > 0 else { return latency }
        // Control chooses the score: a product beyond every latency must not be one that no integer holds.
        return .nanoseconds(Int64(min(Double(latency.wholeNanoseconds) * score, 1e18)))
    }
}

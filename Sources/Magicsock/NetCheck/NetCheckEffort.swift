package import Tailcfg

/// How hard one region is asked in a round of probes.
package struct NetCheckEffort: Hashable, Sendable {
    /// How many times at the most.
    package var tries: Int
    /// The time between two tries.
    package var spacing: Duration

    /// Joins the two.
    package init(tries: Int, spacing: Duration) {
        self.tries = tries
        self.spacing = spacing
    }

    /// What a region gets in a full round.
    package static let full = NetCheckEffort(
        tries: MagicsockConstants.stunTries,
        spacing: MagicsockConstants.stunRetryInterval
    )

    /// The regions of a round with the effort for each: all that may be measured, or the home and the three fastest of last time.
    package static func plan(
        of map: DERPMap,
        isIncremental: Bool,
        home: DERPRegionID,
        lastReport: NetCheckReport?
    ) -> [(region: DERPRegion, effort: NetCheckEffort)] {
        let measurable = map.regions.values.filter { !$0.noMeasureNoHome }.sorted { $0.regionID < $1.regionID }
        guard isIncremental, let lastReport, lastReport.hasUDP else { return measurable.map { ($0, .full) } }
        let fastest = lastReport.latency.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.prefix(3).map(\.key)
        return measurable.compactMap { region in
            let id = region.regionID
            let place = fastest.firstIndex(of: id)
            guard place != nil || id == home else { return nil }
            // A fifth more than last time: an answer that is merely on its way is not asked for again.
            let spacing = lastReport.latency[id].map { $0 * 6 / 5 } ?? MagicsockConstants.stunUnknownInterval
            let tries = id == home ? 4 : place.map { $0 < 2 } == true ? 2 : 1
            return (region, NetCheckEffort(tries: tries, spacing: spacing))
        }
    }
}

package import NetTypes
package import NetWire
package import Tailcfg

/// One round of STUN probes to the regions of a DERP map, as a value: what to send comes out, answers go in.
package struct NetCheck: Sendable {
    /// One STUN server of the plan, its address already known.
    package struct Target: Hashable, Sendable {
        /// The region it measures.
        package var region: DERPRegionID
        /// Where its STUN server listens.
        package var address: AddressPort

        /// Joins the two.
        package init(region: DERPRegionID, address: AddressPort) {
            self.region = region
            self.address = address
        }
    }

    /// One datagram to send.
    package struct Probe: Hashable, Sendable {
        /// Where to.
        package var address: AddressPort
        /// The transaction of the request.
        package var transaction: STUNTransactionID
    }

    /// What was found so far.
    package private(set) var report = NetCheckReport()
    /// Whether a few answers are enough.
    package let isIncremental: Bool
    /// When the round began.
    package let startedAt: MonotonicTime
    /// Whether the round is over.
    package private(set) var isFinished: Bool
    /// When `poll` wants to be called next.
    package private(set) var deadline: MonotonicTime

    private var lanes: [Lane: [AddressPort]] = [:]
    private var tries = 0
    private var sent: [STUNTransactionID: SentProbe] = [:]
    private var answered: Set<Lane> = []
    private var nextTry: MonotonicTime
    private var endsAt: MonotonicTime

    // The servers of one region over one family take turns.
    private struct Lane: Hashable {
        var region: DERPRegionID
        var isIPv4: Bool
    }

    private struct SentProbe {
        var lane: Lane
        var at: MonotonicTime
    }

    /// Plans a round.
    ///
    /// - Parameters:
    ///   - targets: The servers to ask; of a region with several, each try asks the next one.
    ///   - isIncremental: Whether a few answers are enough.
    ///   - now: When the round begins.
    package init(targets: [Target], isIncremental: Bool, now: MonotonicTime) {
        startedAt = now
        self.isIncremental = isIncremental
        for target in targets {
            lanes[Lane(region: target.region, isIPv4: target.address.address.isIPv4), default: []]
                .append(target.address)
        }
        nextTry = now
        endsAt = now + MagicsockConstants.stunPhase
        deadline = now
        isFinished = lanes.isEmpty
    }

    /// The probes that are due now; finishes the round when its time is over.
    package mutating func poll(
        at now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) -> [Probe] {
        guard !isFinished else { return [] }
        guard now < endsAt else {
            isFinished = true
            return []
        }
        var probes: [Probe] = []
        if now >= nextTry, tries < MagicsockConstants.stunTries {
            for (lane, addresses) in lanes where !answered.contains(lane) {
                let transaction = STUNTransactionID(using: &generator)
                sent[transaction] = SentProbe(lane: lane, at: now)
                probes.append(Probe(address: addresses[tries % addresses.count], transaction: transaction))
            }
            tries += 1
            nextTry = now + MagicsockConstants.stunRetryInterval
        }
        deadline = tries < MagicsockConstants.stunTries ? min(nextTry, endsAt) : endsAt
        return probes
    }

    /// Takes an answer; one that belongs to no probe of this round is ignored.
    package mutating func receive(_ transaction: STUNTransactionID, seen: AddressPort, at now: MonotonicTime) {
        guard !isFinished, let probe = sent.removeValue(forKey: transaction) else { return }
        let latency = max(now - probe.at, .nanoseconds(1))
        answered.insert(probe.lane)
        report.add(probe.lane.region, latency: latency, seen: seen, overIPv4: probe.lane.isIPv4)
        if answered.count == lanes.count {
            isFinished = true
        } else if report.latency.count >= 3, let slowest = report.latency.values.max() {
            // Regions that are slower than this are not going to be home.
            endsAt = min(endsAt, now + (isIncremental ? slowest : slowest * 2))
            deadline = min(deadline, endsAt)
        }
    }

    /// The regions of `map` worth probing: all of them, or the home and the three fastest of last time.
    package static func regions(
        of map: DERPMap,
        isIncremental: Bool,
        home: DERPRegionID,
        lastReport: NetCheckReport?
    ) -> [DERPRegion] {
        let measurable = map.regions.values.filter { !$0.noMeasureNoHome }.sorted { $0.regionID < $1.regionID }
        guard isIncremental, let lastReport, lastReport.hasAnswers else { return measurable }
        let fastest = lastReport.latency.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.prefix(3).map(\.key)
        return measurable.filter { $0.regionID == home || fastest.contains($0.regionID) }
    }
}

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
        /// How often the region is asked, and how.
        package var effort: NetCheckEffort

        /// Joins the three.
        package init(region: DERPRegionID, address: AddressPort, effort: NetCheckEffort = .full) {
            self.region = region
            self.address = address
            self.effort = effort
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
    package internal(set) var report = NetCheckReport()
    /// Whether a few answers are enough.
    package let isIncremental: Bool
    /// When the round began.
    package let startedAt: MonotonicTime
    /// Whether the round is over.
    package private(set) var isFinished: Bool
    /// When `poll` wants to be called next.
    package private(set) var deadline: MonotonicTime

    private var lanes: [Lane: Progress] = [:]
    private var sent: [STUNTransactionID: SentProbe] = [:]
    private var endsAt: MonotonicTime

    // The servers of one region over one family take turns.
    private struct Lane: Hashable {
        var region: DERPRegionID
        var isIPv4: Bool
    }

    private struct Progress {
        var addresses: [AddressPort] = []
        var effort: NetCheckEffort
        var tries = 0
        var nextTry: MonotonicTime
        var isAnswered = false

        var isWaiting: Bool { !isAnswered && tries < effort.tries }
    }

    private struct SentProbe {
        var lane: Lane
        var address: AddressPort
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
            let lane = Lane(region: target.region, isIPv4: target.address.address.isIPv4)
            lanes[lane, default: Progress(effort: target.effort, nextTry: now)].addresses.append(target.address)
        }
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
        for (lane, progress) in lanes where progress.isWaiting && now >= progress.nextTry {
            let transaction = STUNTransactionID(using: &generator)
            let address = progress.addresses[progress.tries % progress.addresses.count]
            sent[transaction] = SentProbe(lane: lane, address: address, at: now)
            probes.append(Probe(address: address, transaction: transaction))
            lanes[lane]?.tries += 1
            lanes[lane]?.nextTry = now + progress.effort.spacing
        }
        updateDeadline()
        return probes
    }

    /// Takes an answer; one that belongs to no probe of this round is ignored.
    package mutating func receive(_ transaction: STUNTransactionID, seen: AddressPort, at now: MonotonicTime) {
        guard !isFinished, let probe = sent.removeValue(forKey: transaction) else { return }
        let latency = max(now - probe.at, .nanoseconds(1))
        lanes[probe.lane]?.isAnswered = true
        report.add(probe.lane.region, latency: latency, seen: seen, by: probe.address)
        if lanes.values.allSatisfy(\.isAnswered) {
            isFinished = true
        } else if report.latency.count >= 3, let slowest = report.latency.values.max() {
            // Regions that are slower than this are not going to be home.
            endsAt = min(endsAt, now + (isIncremental ? slowest : slowest * 2))
            updateDeadline()
        }
    }

    private mutating func updateDeadline() {
        deadline = lanes.values.filter(\.isWaiting).map(\.nextTry).min().map { min($0, endsAt) } ?? endsAt
    }
}

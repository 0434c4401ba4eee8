package import Disco
package import NetTypes
package import Tailcfg

/// What is known of the ways to one peer: candidates, pings on their way, the best path and how long it is trusted.
///
/// A value without clock, sockets or keys: events go in with `now`, actions come out. The rules are those of
/// tailscale's magicsock endpoint.
package struct PeerEndpoint: Sendable {
    /// The relay region where the peer listens; none when it has no home.
    package var homeDERP: DERPRegionID = .none
    /// Whether data keeps the path alive in place of heartbeats.
    package var isSilent = false
    /// The path in use, trusted or not.
    package private(set) var best: PathQuality?
    /// Until when the best path needs no DERP beside it.
    package private(set) var trustUntil = MonotonicTime.zero
    /// When the last datagram of the tunnel was sent.
    package private(set) var lastSend: MonotonicTime?
    /// When `poll` wants to be called next; nil while nothing is going on.
    package private(set) var deadline: MonotonicTime?

    /// The addresses that control names, while nothing else is known: most peers of a big tailnet are never talked to, and a
    /// list takes a tenth of the memory.
    private var untried: [AddressPort] = []
    private var tried: [AddressPort: PathCandidate] = [:]
    private var pings: [TransactionID: OutstandingPing] = [:]
    private var lastFullPing: MonotonicTime?
    private var nextHeartbeat: MonotonicTime?
    private var discoveryQuietUntil = MonotonicTime.zero

    private var candidates: [AddressPort: PathCandidate] {
        get { untried.isEmpty ? tried : Self.candidates(untried) }
        _modify {
            if !untried.isEmpty {
                tried = Self.candidates(untried)
                untried = []
            }
            yield &tried
        }
    }

    private static func candidates(_ addresses: [AddressPort]) -> [AddressPort: PathCandidate] {
        var candidate = PathCandidate()
        candidate.isInNetworkMap = true
        return Dictionary(addresses.map { ($0, candidate) }) { first, _ in first }
    }

    private struct OutstandingPing {
        var address: AddressPort
        var sentAt: MonotonicTime
    }

    /// A peer of which nothing is known yet.
    package init() {}

    /// Every address that may be tried, with what is known of it.
    var candidateList: [(address: AddressPort, candidate: PathCandidate)] {
        candidateAddresses.compactMap { address in candidates[address].map { (address, $0) } }
    }

    /// Every address that may be tried.
    package var candidateAddresses: [AddressPort] {
        candidates.keys.sorted { ($0.address, $0.port) < ($1.address, $1.port) }
    }

    /// Whether the tunnel sent something recently enough to keep paths warm.
    package func isActive(at now: MonotonicTime) -> Bool {
        lastSend.map { now - $0 <= MagicsockConstants.sessionActiveTimeout } == true
    }

    /// Whether the best path is proven right now.
    package func isTrusted(at now: MonotonicTime) -> Bool { best != nil && now <= trustUntil }

    // MARK: Packets

    /// Decides where the next outbound datagram goes and notes that it was sent.
    package mutating func route(at now: MonotonicTime) -> PeerRoute {
        lastSend = now
        let trusted = best != nil && now <= trustUntil
        return PeerRoute(
            direct: best?.address,
            useDERP: !trusted,
            needsPoll: (nextHeartbeat == nil && !isSilent) || (!trusted && now >= discoveryQuietUntil)
        )
    }

    // MARK: Candidates

    /// Replaces the candidates that the network map names.
    package mutating func setNetworkMapCandidates(_ addresses: [AddressPort], at now: MonotonicTime) {
        // Control chose the list, and every entry costs a ping each time a path is looked for.
        let usable = addresses.filter(Self.isUsable).prefix(MagicsockConstants.maximumCandidates)
        guard !tried.isEmpty else {
            if usable.contains(where: { !untried.contains($0) }) { discoveryQuietUntil = .zero }
            untried = Array(usable)
            return
        }
        for address in candidates.keys { candidates[address]?.isInNetworkMap = false }
        for address in usable {
            if candidates[address] == nil { discoveryQuietUntil = .zero }
            candidates[address, default: PathCandidate()].isInNetworkMap = true
        }
        dropUnwanted(at: now)
    }

    /// Takes a call-me-maybe: its addresses replace those of the last one and everything is pinged now.
    package mutating func receiveCallMeMaybe(
        _ addresses: [AddressPort],
        at now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) -> [PeerPathAction] {
        for address in candidates.keys {
            candidates[address]?.isFromCallMeMaybe = false
            candidates[address]?.lastPingSent = nil
        }
        for address in addresses.filter(Self.isUsable).prefix(MagicsockConstants.maximumCandidates) {
            candidates[address, default: PathCandidate()].isFromCallMeMaybe = true
        }
        dropUnwanted(at: now)
        return pingCandidates(at: now, using: &generator)
    }

    /// Notes a ping that came by UDP: whoever pings from an address can be tried there.
    ///
    /// - Returns: Whether the ping is to be answered; one that the network delivers a second time is not.
    package mutating func receivePing(
        _ transaction: TransactionID,
        from address: AddressPort,
        at now: MonotonicTime
    ) -> Bool {
        guard Self.isUsable(address) else { return true }
        if candidates[address] == nil { discoveryQuietUntil = .zero }
        let isRepeated = candidates[address]?.lastPingTransaction == transaction
        candidates[address, default: PathCandidate()].lastPingReceived = now
        candidates[address]?.lastPingTransaction = transaction
        if candidates.count > MagicsockConstants.maximumCandidates { prune(at: now) }
        return !isRepeated
    }

    /// Whether an address from outside may be tried at all.
    package static func isUsable(_ address: AddressPort) -> Bool {
        guard address.port != 0, !address.address.isUnspecified, !address.address.isMulticast else { return false }
        // Upstream browsers publish a made-up link-local endpoint; it never answers.
        return address.address.isIPv4 || !address.address.isLinkLocal
    }

    // MARK: Answers

    /// Takes a pong that came by UDP; one that answers no ping of ours is ignored.
    package mutating func receivePong(_ transaction: TransactionID, at now: MonotonicTime) -> [PeerPathAction] {
        guard let ping = pings.removeValue(forKey: transaction) else { return [] }
        let latency = max(now - ping.sentAt, .nanoseconds(1))
        candidates[ping.address]?.lastPong = now
        candidates[ping.address]?.latency = latency
        let candidate = PathQuality(address: ping.address, latency: latency)
        var changed = false
        if !isTrusted(at: now) || PathQuality.isBetter(candidate, than: best) {
            changed = best?.address != candidate.address
            best = candidate
        }
        if best?.address == candidate.address {
            best?.latency = latency
            trustUntil = now + MagicsockConstants.trustDuration
        }
        updateDeadline()
        return changed ? [.bestChanged] : []
    }

    /// Notes that a send to this address failed as unreachable.
    package mutating func noteUnreachable(_ address: AddressPort, at now: MonotonicTime) -> [PeerPathAction] {
        candidates[address]?.lastPingSent = now
        guard best?.address == address else { return [] }
        clearBest()
        return [.bestChanged]
    }

    /// Forgets every path, as after a change of the local network.
    package mutating func reset() {
        clearBest()
        pings.removeAll()
        for address in tried.keys { tried[address]?.lastPingSent = nil }
        discoveryQuietUntil = .zero
        updateDeadline()
    }

    /// Takes tunnel data that came by the best path for a proof of it, where heartbeats are not wanted.
    package mutating func extendTrust(at now: MonotonicTime) {
        if best != nil { trustUntil = now + MagicsockConstants.trustDuration }
    }

    // MARK: Time

    /// Pings on someone's demand: the path in use while it is proven, else everything that may be one.
    package mutating func probe(
        at now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) -> [PeerPathAction] {
        lastSend = now
        if nextHeartbeat == nil, !isSilent { nextHeartbeat = now + MagicsockConstants.heartbeatInterval }
        defer { updateDeadline() }
        if isTrusted(at: now), let best { return [ping(best.address, at: now, using: &generator)] }
        for address in candidates.keys { candidates[address]?.lastPingSent = nil }
        return discover(at: now, using: &generator)
    }

    /// Does what is due: times pings out, beats the heart, discovers paths.
    package mutating func poll(
        at now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) -> [PeerPathAction] {
        var actions: [PeerPathAction] = []
        expirePings(at: now, into: &actions)
        if isActive(at: now) {
            if isSilent {
                nextHeartbeat = nil
            } else if nextHeartbeat == nil {
                nextHeartbeat = now + MagicsockConstants.heartbeatInterval
            } else if let due = nextHeartbeat, now >= due {
                nextHeartbeat = now + MagicsockConstants.heartbeatInterval
                if let best { actions.append(ping(best.address, at: now, using: &generator)) }
            }
            if wantsDiscovery(at: now) { actions += discover(at: now, using: &generator) }
        } else {
            nextHeartbeat = nil
        }
        updateDeadline()
        return actions
    }

    /// Pings every candidate that is due, and asks the peer to do the same.
    private mutating func discover(
        at now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) -> [PeerPathAction] {
        dropUnwanted(at: now)
        lastFullPing = now
        var actions = pingCandidates(at: now, using: &generator)
        if !actions.isEmpty, !homeDERP.isNone { actions.append(.callMeMaybe) }
        return actions
    }

    private func wantsDiscovery(at now: MonotonicTime) -> Bool {
        guard now >= discoveryQuietUntil else { return false }
        guard let best, let lastFullPing, now <= trustUntil else { return true }
        return best.latency > MagicsockConstants.goodEnoughLatency
            && now - lastFullPing >= MagicsockConstants.upgradeInterval
    }

    private mutating func pingCandidates(
        at now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) -> [PeerPathAction] {
        var actions: [PeerPathAction] = []
        let interval = MagicsockConstants.discoveryPingInterval
        // Sorted, so that the same state and randomness always give the same actions.
        for address in candidateAddresses {
            if let sent = candidates[address]?.lastPingSent, now - sent < interval { continue }
            candidates[address]?.lastPingSent = now
            actions.append(ping(address, at: now, using: &generator))
        }
        let oldest = candidates.values.compactMap(\.lastPingSent).min() ?? now
        discoveryQuietUntil = oldest + interval
        updateDeadline()
        return actions
    }

    private mutating func ping(
        _ address: AddressPort,
        at now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) -> PeerPathAction {
        let transaction = TransactionID(using: &generator)
        pings[transaction] = OutstandingPing(address: address, sentAt: now)
        return .ping(address, transaction)
    }

    private mutating func expirePings(at now: MonotonicTime, into actions: inout [PeerPathAction]) {
        let expired = pings.filter { now - $0.value.sentAt >= MagicsockConstants.pingTimeout }
        for (transaction, ping) in expired {
            pings[transaction] = nil
            if best?.address == ping.address, now > trustUntil {
                clearBest()
                actions.append(.bestChanged)
            }
        }
    }

    private mutating func clearBest() {
        best = nil
        trustUntil = .zero
    }

    private mutating func dropUnwanted(at now: MonotonicTime) {
        candidates = candidates.filter { $0.value.isWanted(at: now) }
        if candidates.count > MagicsockConstants.maximumCandidates { prune(at: now) }
    }

    private mutating func prune(at now: MonotonicTime) {
        // What control names stays; of the rest those that were silent longest go first.
        let removable = candidates.filter { !$0.value.isInNetworkMap && $0.key != best?.address }
            .sorted { ($0.value.lastPingReceived ?? .zero) < ($1.value.lastPingReceived ?? .zero) }
        for (address, _) in removable.prefix(max(0, candidates.count - MagicsockConstants.maximumCandidates)) {
            candidates[address] = nil
        }
    }

    private mutating func updateDeadline() {
        var next = nextHeartbeat
        for ping in pings.values {
            let due = ping.sentAt + MagicsockConstants.pingTimeout
            next = next.map { min($0, due) } ?? due
        }
        deadline = next
    }
}

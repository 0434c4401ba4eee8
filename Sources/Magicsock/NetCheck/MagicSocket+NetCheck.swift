import Logging
import NIOCore
import NetTypes
import NetWire
import Tailcfg

extension MagicSocket {
    /// Begins a round of probes, or has another one follow the one under way.
    func requestEndpoints(isFull: Bool = false) {
        guard !isClosed, let map = discovery.map else { return }
        guard !discovery.isBusy else {
            discovery.isWanted = true
            discovery.isFullWanted = discovery.isFullWanted || isFull
            return
        }
        let isOld = discovery.lastFullRound.map { now - $0 >= MagicsockConstants.fullReportInterval } ?? true
        let isIncremental = !isFull && !isOld
        if !isIncremental { discovery.lastFullRound = now }
        discovery.isWanted = false
        discovery.isFullWanted = false
        discovery.timer?.cancel()
        let plan = NetCheckEffort.plan(
            of: map,
            isIncremental: isIncremental,
            home: derp.home,
            lastReport: discovery.lastReport
        )
        discovery.isResolving = true
        resolve(usesUDP ? plan.flatMap(\.region.nodes) : []) { [weak self] in
            guard let self, !self.isClosed else { return }
            self.discovery.isResolving = false
            self.discovery.check = NetCheck(
                targets: plan.flatMap { self.targets(of: $0.region, $0.effort) },
                isIncremental: isIncremental,
                now: self.now
            )
            self.pollCheck()
        }
    }

    /// Takes an answer of a STUN server.
    func receive(stun transaction: STUNTransactionID, seen: AddressPort) {
        guard discovery.check != nil else { return }
        // A server that sees nonsense must not have us publish it.
        guard PeerEndpoint.isUsable(seen), !TailnetAddresses.contains(seen.address),
            !seen.address.isLoopback || configuration.includesLoopback
        else { return }
        discovery.check?.receive(transaction, seen: seen, at: now)
        pollCheck()
    }

    private func pollCheck() {
        guard let probes = discovery.check?.poll(at: now, using: &generator) else { return }
        for probe in probes where UDPReachability.hasRoute(to: probe.address) {
            guard let remote = probe.address.socketAddress else { continue }
            let request = STUNMessage.bindingRequest(probe.transaction).bytes
            (probe.address.address.isIPv4 ? udpIPv4 : udpIPv6)?.send(request.span, to: remote)
        }
        udpIPv4?.flush()
        udpIPv6?.flush()
        guard let check = discovery.check else { return }
        discovery.timer?.cancel()
        if check.isFinished {
            discovery.check = nil
            return wantsHTTPS(check) ? measure(check) : finish(check)
        }
        let at = NIODeadline.uptimeNanoseconds(check.deadline.nanoseconds)
        discovery.timer = eventLoop.assumeIsolated().scheduleTask(deadline: at) { [weak self] in self?.pollCheck() }
    }

    // MARK: HTTPS

    // A home that works is proof enough between full rounds.
    private func wantsHTTPS(_ check: NetCheck) -> Bool {
        !check.report.hasAnswers && (!check.isIncremental || !derp.isConnected(derp.home))
    }

    private func measure(_ check: NetCheck) {
        let limit = MagicsockConstants.reportLimit - (now - check.startedAt)
        var waiting = (discovery.map ?? DERPMap()).regions.values
            .filter { region in !region.noMeasureNoHome && region.nodes.contains { !$0.stunOnly } }
            .sorted { $0.regionID > $1.regionID }
        guard waiting.count > 1, limit > .zero else { return finish(check) }
        discovery.isMeasuring = true
        var check = check
        var isOver = false
        var running = 0
        func conclude() {
            guard !isOver else { return }
            isOver = true
            self.discovery.isMeasuring = false
            if !self.isClosed { self.finish(check) }
        }
        func next() {
            guard !isOver, let region = waiting.popLast() else {
                if running == 0 { conclude() }
                return
            }
            running += 1
            configuration.relayDialer.measure(region, deadline: limit, eventLoop: eventLoop).assumeIsolated()
                .whenComplete { result in
                    running -= 1
                    if case .success(let latency) = result {
                        check.report.add(region.regionID, latencyHTTPS: latency)
                    }
                    next()
                }
        }
        let delay = TimeAmount.nanoseconds(limit.wholeNanoseconds)
        eventLoop.assumeIsolated().scheduleTask(in: delay) { conclude() }
        for _ in 0..<MagicsockConstants.httpsLanes { next() }
    }

    // MARK: Conclusions

    private func finish(_ check: NetCheck) {
        let now = self.now
        chooseHome(check, now)
        discovery.lastReport = check.report
        if !check.isIncremental { discovery.lastFullReport = check.report }
        discovery.endpoints = endpoints(check.report)
        discovery.updatedAt = now
        publish(check.report)
        sendAwaitedCallMeMaybes()
        if discovery.isWanted { return requestEndpoints(isFull: discovery.isFullWanted) }
        scheduleNextRound()
    }

    private func chooseHome(_ check: NetCheck, _ now: MonotonicTime) {
        let map = discovery.map ?? DERPMap()
        let previous = derp.home
        let mayStay = map.regions[previous].map { !$0.noMeasureNoHome } == true
        var latency = check.report.latency.filter { map.regions[$0.key] != nil }
        let welcome = latency.filter { map.regions[$0.key]?.avoid != true }
        var lastFrame = derp.lastFrame(from: previous).map { MonotonicTime(nanoseconds: $0.uptimeNanoseconds) }
        if !welcome.isEmpty {
            latency = welcome
            if map.regions[previous]?.avoid == true { lastFrame = nil }
        }
        var home = discovery.chooser.choose(
            latency: latency,
            scores: map.homeParameters?.regionScore ?? [:],
            startedAt: check.startedAt,
            now: now,
            lastFrame: mayStay ? lastFrame : nil
        )
        if home.isNone {
            // Where nothing answers a node still needs a home: the one it has, or the first that may be one.
            let allowed = map.regions.values.filter { !$0.noMeasureNoHome }.sorted { $0.regionID < $1.regionID }
            let fallback = allowed.first { !$0.avoid } ?? allowed.first
            home = mayStay ? previous : fallback?.regionID ?? .none
        }
        if !controlIsConnected, !previous.isNone, map.regions[previous] != nil { home = previous }
        discovery.chooser.settle(on: home)
        guard home != previous else { return }
        derp.setHome(home)
        logger.debug("home relay chosen", metadata: ["region": "\(home)"])
    }

    private func endpoints(_ report: NetCheckReport) -> [PublishedEndpoint] {
        guard usesUDP else { return [.placeholder] }
        var list = EndpointList()
        list.stunIPv4 = report.seenIPv4
        list.stunIPv6 = report.seenIPv6
        list.mappingVaries = report.mappingVariesByDestination == true
        list.hasFixedPort = configuration.port != 0
        list.portIPv4 = udpIPv4?.localAddress.port
        list.portIPv6 = udpIPv6?.localAddress.port
        list.boundAddress = configuration.bindAddress
        list.includesLoopback = configuration.includesLoopback
        list.interfaceAddresses = LocalNetwork.interfaceAddresses()
        list.remembered = discovery.memory.remember(list.publicEndpoints, at: now)
        let endpoints = list.endpoints
        return endpoints.isEmpty ? [.placeholder] : endpoints
    }

    private func publish(_ report: NetCheckReport) {
        let netInfo = report.netInfo(home: derp.home, hasIPv6: udpIPv6 != nil)
        let fresh = MagicSocketReport(endpoints: discovery.endpoints, netInfo: netInfo)
        if let published = discovery.published, Set(published.endpoints) == Set(fresh.endpoints),
            published.netInfo.withoutLatency == netInfo.withoutLatency
        {
            return
        }
        discovery.published = fresh
        sink?.magicSocketReportChanged(fresh)
    }

    private func scheduleNextRound() {
        let milliseconds = Int64.random(in: 20_000...26_000, using: &generator)
        discovery.timer = eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(milliseconds)) { [weak self] in
            guard let self else { return }
            let now = self.now
            let isActive = self.peers.values.contains { $0.endpoint.isActive(at: now) }
            let isOld = self.discovery.lastFullRound.map { now - $0 >= MagicsockConstants.fullReportInterval } ?? true
            if isActive || isOld { self.requestEndpoints() } else { self.scheduleNextRound() }
        }
    }
}

extension NetInfo {
    /// The part whose change is worth telling control.
    fileprivate var withoutLatency: NetInfo {
        var copy = self
        copy.derpLatency = [:]
        return copy
    }
}

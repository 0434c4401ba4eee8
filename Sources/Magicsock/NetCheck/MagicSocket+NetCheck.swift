import Logging
import NIOCore
import NIOPosix
import NetTypes
import NetWire
import Tailcfg

extension MagicSocket {
    /// Begins a round of probes, or has another one follow the one under way.
    func requestEndpoints(isFull: Bool = false) {
        guard !isClosed, let map = discovery.map else { return }
        guard discovery.check == nil, !discovery.isResolving else {
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
        let regions = NetCheck.regions(
            of: map,
            isIncremental: isIncremental,
            home: derp.home,
            lastReport: discovery.lastReport
        )
        discovery.isResolving = true
        resolve(regions.flatMap(\.nodes)) { [weak self] in
            guard let self, !self.isClosed else { return }
            self.discovery.isResolving = false
            self.discovery.check = NetCheck(
                targets: regions.flatMap(self.targets),
                isIncremental: isIncremental,
                now: self.now
            )
            self.pollCheck()
        }
    }

    /// Takes an answer of a STUN server.
    func receive(stun transaction: STUNTransactionID, seen: AddressPort) {
        guard discovery.check != nil else { return }
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
        guard !check.isFinished else { return finish(check) }
        discovery.timer?.cancel()
        let at = NIODeadline.uptimeNanoseconds(check.deadline.nanoseconds)
        discovery.timer = eventLoop.assumeIsolated().scheduleTask(deadline: at) { [weak self] in self?.pollCheck() }
    }

    private func finish(_ check: NetCheck) {
        discovery.check = nil
        discovery.timer?.cancel()
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
        var home = discovery.chooser.choose(
            latency: check.report.latency,
            scores: map.homeParameters?.regionScore ?? [:],
            startedAt: check.startedAt,
            now: now,
            lastFrame: derp.lastFrame(from: previous).map { MonotonicTime(nanoseconds: $0.uptimeNanoseconds) }
        )
        if home.isNone {
            // Where UDP is blocked a node still needs a home: the one it has, or the first that may be one.
            let allowed = map.regions.values.filter { !$0.noMeasureNoHome }.sorted { $0.regionID < $1.regionID }
            let fallback = allowed.first { !$0.avoid } ?? allowed.first
            home = map.regions[previous] != nil ? previous : fallback?.regionID ?? .none
        }
        if !controlIsConnected, !previous.isNone, map.regions[previous] != nil { home = previous }
        discovery.chooser.settle(on: home)
        guard home != previous else { return }
        derp.setHome(home)
        logger.debug("home relay chosen", metadata: ["region": "\(home)"])
    }

    private func endpoints(_ report: NetCheckReport) -> [PublishedEndpoint] {
        var list = EndpointList()
        list.stunIPv4 = report.seenIPv4
        list.stunIPv6 = report.seenIPv6
        list.mappingVaries = report.mappingVariesByDestination == true
        list.hasFixedPort = configuration.port != 0
        list.portIPv4 = udpIPv4?.localAddress.port
        list.portIPv6 = udpIPv6?.localAddress.port
        list.boundAddress = configuration.bindAddress
        list.includesLoopback = configuration.includesLoopback
        // Without the list of interfaces STUN's view remains.
        list.interfaceAddresses =
            (try? System.enumerateDevices())?.compactMap { device in
                device.address.flatMap(AddressPort.init)?.address
            } ?? []
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
        let seconds = Int64.random(in: 20...26, using: &generator)
        discovery.timer = eventLoop.assumeIsolated().scheduleTask(in: .seconds(seconds)) { [weak self] in
            guard let self else { return }
            let now = self.now
            let isActive = self.peers.values.contains { $0.endpoint.isActive(at: now) }
            let isOld = self.discovery.lastFullRound.map { now - $0 >= MagicsockConstants.fullReportInterval } ?? true
            if isActive || isOld { self.requestEndpoints() } else { self.scheduleNextRound() }
        }
    }

    // MARK: Servers

    private func targets(of region: DERPRegion) -> [NetCheck.Target] {
        region.nodes.flatMap { node -> [NetCheck.Target] in
            guard let port = node.effectiveSTUNPort else { return [] }
            return addresses(of: node).filter {
                ($0.isIPv4 ? udpIPv4 : udpIPv6) != nil && configuration.dialPolicy.permits($0, for: .stun)
            }.map { NetCheck.Target(region: region.regionID, address: AddressPort($0, port: port)) }
        }
    }

    private func addresses(of node: DERPNode) -> [IPAddress] {
        if let test = IPAddress(node.stunTestIP) { return [test] }
        let named = discovery.resolved[node.hostName]?.addresses ?? []
        return [(node.ipv4Reach, true), (node.ipv6Reach, false)].flatMap { reach, isIPv4 in
            switch reach {
            case .address(let address): [address]
            case .dns: named.first { $0.isIPv4 == isIPv4 }.map { [$0] } ?? []
            case .disabled: [IPAddress]()
            }
        }
    }

    private func resolve(_ nodes: [DERPNode], then proceed: @escaping () -> Void) {
        let now = self.now
        let names = Set(
            nodes.filter { $0.stunTestIP.isEmpty && ($0.ipv4Reach == .dns || $0.ipv6Reach == .dns) }.map(\.hostName)
        ).filter { name in
            // What the resolver said stays good for as long as a full round.
            discovery.resolved[name].map { now - $0.at >= MagicsockConstants.fullReportInterval } ?? true
        }
        guard !names.isEmpty else { return proceed() }
        let lookUps = names.map { name in
            HostResolver.addresses(of: name, eventLoop: eventLoop).map { (name, $0) }
        }
        EventLoopFuture.whenAllSucceed(lookUps, on: eventLoop).assumeIsolated().whenComplete { [weak self] result in
            if let self, case .success(let answers) = result {
                for (name, addresses) in answers { self.discovery.resolved[name] = (addresses, now) }
            }
            proceed()
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

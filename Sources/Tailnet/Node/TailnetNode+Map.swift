import ControlPlane
import FoundationEssentials
import Logging
import Magicsock
import NetTypes
import Tailcfg
import WarrenCrypto
import WarrenModel

extension TailnetNode {
    /// Why following the map ended.
    enum MapEnd: Sendable {
        case cancelled
        /// Control does not know the node; the current key is to be registered again.
        case unknownNode
        /// The key ended; a new one is to be registered.
        case keyExpired
    }

    /// Follows the map, reconnecting as often as it takes, until control disowns the node or its key ends.
    func followMap(_ client: ControlClient) async -> MapEnd {
        let (pings, ping) = AsyncStream.makeStream(of: PingRequest.self, bufferingPolicy: .bufferingNewest(8))
        let (expiries, expiry) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let end = await withTaskGroup(of: MapEnd?.self) { group in
            group.addTask { await self.poll(client, pings: ping, expiry: expiry) }
            group.addTask {
                for await _ in expiries where await self.isKeyExpired { return .keyExpired }
                return nil
            }
            group.addTask {
                // A minute late at most, also when the clock was set meanwhile.
                while (try? await self.clock.sleep(for: .seconds(60))) != nil { await self.checkExpiry(expiry) }
                return nil
            }
            group.addTask {
                for await request in pings {
                    // A ping that cannot be answered is control's to repeat.
                    try? await client.answerPing(request) { _, _ in nil }
                }
                return nil
            }
            var end = MapEnd.cancelled
            for await result in group {
                guard let result else { continue }
                end = result
                break
            }
            group.cancelAll()
            return end
        }
        isPolling = false
        await onPlane { $0.setControlConnected(false) }
        if case .keyExpired = end {
            logger.notice("node key expired")
            set(.needsLogin, NodeReason.keyExpired)
            await onPlane { $0.apply(nil) }
        }
        return Task.isCancelled ? .cancelled : end
    }

    private func poll(
        _ client: ControlClient,
        pings: AsyncStream<PingRequest>.Continuation,
        expiry: AsyncStream<Void>.Continuation
    ) async -> MapEnd {
        var backoff = Backoff()
        var generator = SystemRandomNumberGenerator()
        var refusals = 0
        while !Task.isCancelled {
            var failure = ControlError.connectionClosed
            reducer.startStream()
            do throws(ControlError) {
                try await client.mapPoll(mapRequest) { response in
                    await self.receive(response, pings: pings, expiry: expiry)
                }
            } catch {
                failure = error
            }
            guard !Task.isCancelled else { break }
            if isPolling {
                backoff.reset()
                refusals = 0
            }
            isPolling = false
            await onPlane { $0.setControlConnected(false) }
            logger.debug("map poll ended", metadata: ["error": "\(failure)"])
            if case .httpStatus(let code, _) = failure, [401, 403, 404, 410].contains(code) {
                refusals += 1
                if refusals >= 2 { return .unknownNode }
            }
            var wait = backoff.next(using: &generator)
            if case .rateLimited(let asked) = failure { wait = max(wait, asked ?? .seconds(5)) }
            // The first reconnect comes at once and usually succeeds: nothing to worry a user with.
            if backoff.failures > 1 { set(status.state, NodeReason.controlUnreachable(failure.brief)) }
            try? await clock.sleep(for: wait)  // Cancellation is checked at the top.
        }
        return .cancelled
    }

    private func receive(
        _ response: MapResponse,
        pings: AsyncStream<PingRequest>.Continuation,
        expiry: AsyncStream<Void>.Continuation
    ) async {
        if let request = response.pingRequest { pings.yield(request) }
        let now = ControlTime(Date())
        // Fails only for a first message without a node, which the client refuses before it comes here.
        guard let change = try? reducer.apply(response, now: now) else { return }
        let isFirst = !isPolling
        isPolling = true
        if isFirst || change != NetworkMapChange() { await applyMap(isFirst ? nil : change, now: now) }
        if isFirst {
            await onPlane { $0.setControlConnected(true) }
            // A new stream may have met a server that forgot what it was told.
            reachability.touch()
        }
        expiry.yield()
    }

    /// Brings status and data plane in step with the map, of which only `mapChange` is new; nil for everything.
    private func applyMap(_ mapChange: NetworkMapChange? = nil, now: ControlTime) async {
        guard let map else { return }
        let isExpired = map.isSelfExpired(at: now)
        let step = translation.translate(
            map,
            change: mapChange,
            preferences: preferences,
            forwarding: configuration.dnsForwarding,
            now: map.correctedTime(now)
        )
        nextExpiry = translation.nextExpiry(in: map)
        await onPlane { plane in
            switch step {
            case _ where isExpired: plane.apply(nil)
            case .whole(let network): plane.apply(network)
            case .change(let change): plane.apply(change)
            }
        }
        noteNetmap(map, mapChange)
        change { status in
            status.addresses = map.selfNode.addresses.map { "\($0.address)" }
            status.dnsName = map.selfNode.name.isEmpty ? nil : map.selfNode.name
            status.nodeId = map.selfNode.stableID.isEmpty ? nil : map.selfNode.stableID
            status.tailnet = map.domain.isEmpty ? nil : map.domain
            status.keyExpiry = map.selfNode.keyExpiry.isZero ? nil : Timestamp(map.selfNode.keyExpiry)
            status.peerCount = map.peers.count
            status.health = map.healthTexts + ownHealthTexts
        }
        guard !isExpired else { return }
        if map.selfNode.machineAuthorized {
            set(map.selfNode.addresses.isEmpty ? .starting : .running)
        } else {
            set(.needsMachineAuth, NodeReason.awaitingApproval)
        }
    }

    /// What is degraded on this host's side.
    private var ownHealthTexts: [String] {
        guard configuration.lacksConfiguredPort else { return [] }
        return ["The UDP ports of tailnet.udpPorts are used up; another one is in use."]
    }

    private func checkExpiry(_ expiry: AsyncStream<Void>.Continuation) async {
        expiry.yield()
        let now = ControlTime(Date())
        if let due = nextExpiry, due <= now { await applyMap(now: now) }
    }

    private var isKeyExpired: Bool {
        map?.isSelfExpired(at: ControlTime(Date())) == true
    }

    // MARK: Telling control

    /// Publishes endpoints and network facts whenever they change: one update at a time, always the newest state.
    func publishReachability(_ client: ControlClient) async {
        var generator = SystemRandomNumberGenerator()
        var level: Int64 = 0
        while !Task.isCancelled {
            level = await reachability.signal.wait(above: level)
            noteHome()
            guard isPolling, reachability.value != nil else { continue }
            var backoff = Backoff()
            while !Task.isCancelled, isPolling {
                do throws(ControlError) {
                    try await client.update(mapRequest)
                    break
                } catch {
                    logger.debug("update failed", metadata: ["error": "\(error)"])
                    try? await clock.sleep(for: backoff.next(using: &generator))  // Checked at the top.
                }
            }
        }
    }

    private func noteHome() {
        guard let report = reachability.value else { return }
        let region = report.netInfo.preferredDERP
        let definition = map?.derpMap?.regions[region]
        let latency = ["\(region)-v4", "\(region)-v6"].compactMap { report.netInfo.derpLatency[$0] }.min()
        change { status in
            status.homeDerp =
                region.isNone
                ? nil
                : HomeDERP(
                    regionId: Int(region.rawValue),
                    regionCode: definition?.regionCode ?? "\(region)",
                    latencyMs: latency.map { $0 * 1000 }
                )
        }
    }

    /// The current state as control is told it, by the poll and by updates.
    private var mapRequest: MapRequest {
        var request = MapRequest(
            version: .current,
            nodeKey: identity.nodeKey.publicKey,
            discoKey: discoKey,
            hostinfo: hostinfo
        )
        let endpoints = reachability.value?.endpoints ?? [.placeholder]
        request.endpoints = endpoints.map(\.address)
        request.endpointTypes = endpoints.map(\.type)
        return request
    }
}

extension NetworkMap {
    /// What control says is wrong, one sentence each.
    var healthTexts: [String] {
        let messages = displayMessages.sorted { $0.key < $1.key }.prefix(Self.healthLimit).map(\.value)
        let texts = messages.map { $0.text.isEmpty ? $0.title : "\($0.title): \($0.text)" }
        return (texts.isEmpty ? Array(health.prefix(Self.healthLimit)) : texts).map { ControlError.printable($0) }
    }

    /// A person reads no more, and each is stored with every change of the VM.
    private static let healthLimit = 20
}

extension Timestamp {
    init(_ time: ControlTime) {
        self.init(millisecondsSinceEpoch: time.seconds * 1000 + Int64(time.nanoseconds) / 1_000_000)
    }
}

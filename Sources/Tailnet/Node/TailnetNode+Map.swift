import ControlPlane
import FoundationEssentials
import Logging
import Magicsock
import NIOCore
import NetTypes
import Tailcfg
import WarrenCrypto
import WarrenModel

extension TailnetNode {
    /// Why following the map ended.
    enum MapEnd: Sendable {
        case cancelled
        /// The node has a new key, which control knows: the map is to be followed under it.
        case rekeyed
        /// The owner wants something that cannot be done beside it.
        case wished
        /// Control does not know the node; the current key is to be registered again.
        case unknownNode
        /// The key ended; a new one is to be registered.
        case keyExpired
    }

    /// Follows the map, reconnecting as often as it takes, until control disowns the node or its key ends.
    func followMap(_ client: ControlClient) async -> MapEnd {
        let (pings, ping) = AsyncStream.makeStream(of: PingRequest.self, bufferingPolicy: .bufferingNewest(8))
        let expiry = LevelSignal()
        let end = await withTaskGroup(of: MapEnd?.self) { group in
            group.addTask { await self.poll(client, pings: ping, expiry: expiry) }
            group.addTask { await self.watchTime(expiry) }
            group.addTask { await self.serveWishes(client) }
            group.addTask {
                for await request in pings {
                    // A ping that cannot be answered is control's to repeat.
                    try? await client.answerPing(request) { kind, address in await self.probe(kind, address) }
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
        published = nil
        browserURL = nil
        await onPlane { $0.setControlConnected(false) }
        if case .keyExpired = end {
            logger.notice("node key expired")
            forgetMap()
            set(.needsLogin, NodeReason.keyExpired)
        }
        return Task.isCancelled ? .cancelled : end
    }

    /// Does what the owner wishes of a node that runs; ends with what cannot be done beside the map.
    private func serveWishes(_ client: ControlClient) async -> MapEnd? {
        var renews = identity.candidateKey != nil
        while !Task.isCancelled {
            if renews {
                renews = false
                if await unlessWished({ await self.renewKey(client) }) == true { return .rekeyed }
            }
            await wishes.wait(above: seenWishes)
            guard case .logIn(let key)? = wish else { return wish == nil ? nil : .wished }
            _ = takeWish()
            beginLogin(with: key)
            renews = true
        }
        return nil
    }

    /// Looks at the clock whenever a key ends or a warning is due, and once a minute, because clocks are set.
    private func watchTime(_ map: LevelSignal) async -> MapEnd? {
        while !Task.isCancelled {
            let level = map.level
            let now = ControlTime(Date())
            if isKeyExpired(at: now) { return .keyExpired }
            if let due = nextDeadline, due <= now { await applyMap(now: now) }
            let pause = nextDeadline.map { min(max($0.seconds - now.seconds + 1, 0), 60) } ?? 60
            let clock = clock
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = await map.wait(above: level) }
                group.addTask { try? await clock.sleep(for: .seconds(pause)) }  // Cancelled by a newer map.
                await group.next()
                group.cancelAll()
            }
        }
        return nil
    }

    private func poll(
        _ client: ControlClient,
        pings: AsyncStream<PingRequest>.Continuation,
        expiry: LevelSignal
    ) async -> MapEnd {
        var backoff = Backoff()
        var generator = SystemRandomNumberGenerator()
        var refusals = 0
        // Another key is another session.
        reducer.forgetSession()
        while !Task.isCancelled {
            var failure = ControlError.connectionClosed
            reducer.startStream()
            var request = mapRequest
            request.mapSession = reducer.session
            do throws(ControlError) {
                try await client.mapPoll(request) { response in
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
        expiry: LevelSignal
    ) async {
        if let request = response.pingRequest { pings.yield(request) }
        if !response.popBrowserURL.isEmpty { show(browserURL: response.popBrowserURL) }
        let now = ControlTime(Date())
        // Fails only for a first message without a node, which the client refuses before it comes here.
        guard let change = try? reducer.apply(response, now: now) else { return }
        let isFirst = !isPolling
        isPolling = true
        if isFirst || change != NetworkMapChange() { await applyMap(isFirst ? nil : change, now: now) }
        if isFirst {
            await onPlane { $0.setControlConnected(true) }
            // A new stream may have met a server that forgot what it was told.
            published = nil
            reachability.touch()
        }
        expiry.raise()
    }

    /// A page that control wants a person to open: offered as login URLs are, once for each URL.
    private func show(browserURL url: String) {
        guard url != browserURL, url.utf8.count <= 2048, WebURL(url) != nil else { return }
        browserURL = url
        logger.info("control wants a page opened", metadata: ["host": "\(LoginURL.masked(url))"])
        set(status.state, status.stateReason)
    }

    /// Brings status and data plane in step with the map, of which only `mapChange` is new, and with the owner's preferences; nil
    /// for everything.
    func applyMap(_ mapChange: NetworkMapChange? = nil, now: ControlTime) async {
        var mapChange = mapChange
        var latencies: [NodeID: Duration] = [:]
        if preferences.exitNode == .auto, mapChange?.concerns(translation.route.id) ?? true {
            latencies = await measuredLatencies()
            // Something else may have been applied meanwhile.
            mapChange = nil
        }
        guard let map else { return }
        let corrected = map.correctedTime(now)
        let isExpired = map.isSelfExpired(at: now)
        let step = translation.translate(
            map,
            change: mapChange,
            preferences: preferences,
            forwarding: configuration.dnsForwarding,
            now: corrected,
            latency: { latencies[$0] }
        )
        let nextWarning = KeyWarning.next(for: map.selfNode.keyExpiry, after: corrected)
        nextDeadline = [
            translation.nextExpiry(in: map), nextWarning?.adding(seconds: -map.controlClockOffsetSeconds),
        ].compactMap { $0 }.min()
        exitNode = ExitNodeStatus(preferences.exitNode, translation.route, in: map, now: corrected)
        await onPlane { plane in
            switch step {
            case _ where isExpired: plane.apply(nil)
            case .whole(let network): plane.apply(network)
            case .change(let change): plane.apply(change)
            }
        }
        noteNetmap(map, mapChange)
        note(isExpired ? nil : KeyWarning.due(for: map.selfNode.keyExpiry, at: corrected))
        let mayTalk = !isExpired && map.selfNode.machineAuthorized && !map.selfNode.addresses.isEmpty
        change { status in
            status.addresses = map.selfNode.addresses.map { "\($0.address)" }
            status.dnsName = map.selfNode.name.isEmpty ? nil : map.selfNode.name
            status.nodeId = map.selfNode.stableID.isEmpty ? nil : map.selfNode.stableID
            status.tailnet = map.domain.isEmpty ? nil : map.domain
            status.keyExpiry = map.selfNode.keyExpiry.isZero ? nil : Timestamp(map.selfNode.keyExpiry)
            status.peerCount = map.peers.count
            status.exitNode = mayTalk ? exitNode.name : nil
            status.internet = mayTalk ? exitNode.internet : .blocked
            status.health = map.healthTexts + ownHealthTexts
        }
        if identity.exitNode != translation.exitNode.remembered { await remember(translation.exitNode.remembered) }
        guard !isExpired else { return }
        if map.selfNode.machineAuthorized {
            set(map.selfNode.addresses.isEmpty ? .starting : .running, exitNode.reason)
        } else {
            set(.needsMachineAuth, NodeReason.awaitingApproval)
        }
    }

    /// Stores which node the exit node is; a name that is given to another node later must not change it.
    private func remember(_ exitNode: RememberedExitNode?) async {
        identity.exitNode = exitNode
        let version = identityVersion
        do {
            try await commit(identity, false)
            if version != identityVersion {
                isIdentityStored = false
                _ = await storeIdentity()
            }
        } catch {
            isIdentityStored = false  // Goes with the next change of the identity.
            logger.warning("exit node not stored", metadata: ["error": "\(error)"])
        }
        // Control is told whose traffic goes where.
        reachability.touch()
    }

    private func measuredLatencies() async -> [NodeID: Duration] {
        let box = plane
        let snapshot = try? await eventLoop.submit { box.value?.snapshot() }.get()
        return (snapshot ?? nil)?.peers.compactMapValues(\.path.latency) ?? [:]
    }

    /// What is degraded on this host's side, and what will be.
    private var ownHealthTexts: [String] {
        var texts: [String] = []
        if configuration.lacksConfiguredPort {
            texts.append("The UDP ports of tailnet.udpPorts are used up; another one is in use.")
        }
        if let keyWarning {
            let time = keyWarning == .day ? "a day" : "a week"
            texts.append("The node's key ends in less than \(time); log in again before it does.")
        }
        if let reason = exitNode.reason { texts.append(reason.message) }
        return texts
    }

    private func isKeyExpired(at now: ControlTime) -> Bool { map?.isSelfExpired(at: now) == true }
}

extension NetworkMapChange {
    /// Whether more may be different than peers other than this one.
    fileprivate func concerns(_ peer: NodeID?) -> Bool { allPeers || (peer.map { peers[$0] != nil } ?? true) }
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

import Logging
package import Tailcfg
package import WarrenCrypto

/// Why a map request is refused.
package enum MapRefusal: Error, Hashable, Sendable {
    /// 404: the key is unknown, or belongs to another machine.
    case nodeNotFound
    /// 400: the client is too old; the text says so.
    case unsupportedVersion(String)
}

extension NodeRegistry {
    /// Takes in a state update of a node.
    package func update(_ request: MapRequest, from machineKey: MachinePublicKey) throws(MapRefusal) {
        let node = try checked(request, from: machineKey)
        announce(state.apply(request, to: node.id, now: now()), of: node.id)
    }

    /// One full map, without a stream.
    package func fetch(
        _ request: MapRequest,
        from machineKey: MachinePublicKey
    ) throws(MapRefusal) -> MapResponse {
        let node = try checked(request, from: machineKey)
        announce(state.apply(request, to: node.id, now: now()), of: node.id)
        return builder().fullMap(for: state.nodes[node.id] ?? node)
    }

    /// Opens a stream; an older one of the node ends cleanly, and nobody takes the node for offline.
    ///
    /// `reset` cuts the stream off when its writer is stuck.
    package func openStream(
        _ request: MapRequest,
        from machineKey: MachinePublicKey,
        reset: @escaping @Sendable () -> Void
    ) throws(MapRefusal) -> MapSubscription {
        let node = try checked(request, from: machineKey)
        // The poll's own findings may be older than an update already processed, so they count only before the first.
        if node.discoKey.isZero { announce(state.apply(request, to: node.id, now: now()), of: node.id) }
        endStreams(of: node.id, withKey: nil, farewell: [])
        let id = MapStreamID(rawValue: takeNumber())
        let (wakeups, wakeup) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        streams[id] = MapStream(
            id: id,
            nodeID: node.id,
            nodeKey: node.nodeKey,
            wantsKeepAlive: request.keepAlive,
            wakeup: wakeup,
            reset: reset,
            keepAliveDue: nextKeepAlive()
        )
        wakeup.yield()
        var presence = presences[node.id] ?? Presence()
        presence.offlineAt = nil
        presence.removeAt = nil
        presences[node.id] = presence
        if onlineNodes.insert(node.id).inserted {
            state.update(node.id) { $0.wasOnline = true }
            streamsChanged(node.id, .online)
            if !node.approvedRoutes.isEmpty { settleRoutes() }
        }
        logger.debug("stream opened", metadata: ["node": "\(node.id)"])
        return MapSubscription(id: id, wakeups: wakeups, cancel: { wakeup.finish() })
    }

    /// How many streams are open.
    package var streamCount: Int { streams.count }

    /// Notes that a stream is over, whoever ended it; late calls for a replaced stream change nothing.
    package func closeStream(_ id: MapStreamID) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        stream.wakeup.finish()
        guard !streams.values.contains(where: { $0.nodeID == stream.nodeID }), let node = state.nodes[stream.nodeID]
        else { return }
        let time = now()
        presences[node.id, default: Presence()].offlineAt = time.adding(
            seconds: CoordinationDefaults.offlineGraceSeconds
        )
        if node.isEphemeral {
            presences[node.id]?.removeAt = time.adding(seconds: state.rules.ephemeralInactivitySeconds)
        }
        state.update(node.id) { $0.lastSeen = time }
        logger.debug("stream closed", metadata: ["node": "\(node.id)"])
    }

    /// What a stream's writer does next; what it returns is taken for written.
    package func work(for id: MapStreamID) -> MapStreamWork {
        guard let stream = streams[id] else { return .end([]) }
        let time = now()
        stream.writingSince = nil
        if let farewell = stream.farewell { return .end(farewell) }
        guard stream.delta.isEmpty, stream.questions.isEmpty else {
            let messages = (stream.delta.isEmpty ? [] : messages(for: stream)) + stream.takeQuestions()
            guard !messages.isEmpty else { return .wait }
            stream.writingSince = time
            stream.keepAliveDue = nextKeepAlive()
            return .write(messages)
        }
        guard stream.wantsKeepAlive, stream.keepAliveDue <= time else { return .wait }
        stream.writingSince = time
        stream.keepAliveDue = nextKeepAlive()
        return .keepAlive
    }

    private func nextKeepAlive() -> ControlTime {
        let jitter = Int64.random(in: 0...CoordinationDefaults.keepAliveJitterSeconds)
        return now().adding(seconds: CoordinationDefaults.keepAliveSeconds + jitter)
    }

    private func checked(
        _ request: MapRequest,
        from machineKey: MachinePublicKey
    ) throws(MapRefusal) -> NodeRecord {
        guard request.version >= .minimum else {
            throw .unsupportedVersion(TailnetState.unsupported(request.version))
        }
        guard let node = state.node(withKey: request.nodeKey), node.machineKey == machineKey else {
            throw .nodeNotFound
        }
        return node
    }

    /// Turns the marks of a stream into messages, by the present state.
    private func messages(for stream: MapStream) -> [MapResponse] {
        let delta = stream.delta
        stream.delta.clear()
        guard let node = state.nodes[stream.nodeID] else { return [] }
        let builder = builder()
        if delta.isFull {
            let response = builder.fullMap(for: node)
            stream.sentProfiles = Set(response.userProfiles.map(\.id))
            stream.known = policyIndex().isOpen && node.isApproved ? nil : Set(response.peers.map(\.id))
            stream.sentFilter = builder.filter(for: node)
            return [response]
        }
        let news = peerNews(delta, for: node, stream)
        var first = MapResponse()
        if delta.ownNode { first.node = builder.selfNode(node) }
        if delta.derpMap { first.derpMap = DERPMapUpdate(derpMap) }
        if delta.dns { first.dnsConfig = builder.dnsConfig }
        if delta.rules || (delta.concernsPeers && !policyIndex().isOpen) {
            let filter = builder.filter(for: node)
            if filter != stream.sentFilter { first.packetFilters = ["base": filter] }
            stream.sentFilter = filter
        }
        first.peersRemoved = news.removed
        first.peersChanged = news.whole.map(builder.peer)
        let users = news.whole.map(\.user) + (delta.ownNode ? [node.user] : [])
        let unknownUsers = Set(users).subtracting(stream.sentProfiles)
        first.userProfiles = unknownUsers.sorted().map(state.rules.profile)
        stream.sentProfiles.formUnion(unknownUsers)
        var second = MapResponse()
        second.peersChangedPatch = news.patched.map { builder.patch($0, $1) }
        return [first, second].filter { $0 != MapResponse() }
    }

    /// What a client must hear about its peers.
    private struct PeerNews {
        var removed: [NodeID] = []
        var whole: [NodeRecord] = []
        var patched: [(NodeRecord, NodeChange)] = []
    }

    /// The marks about peers as far as the policy shows those peers, and who comes and goes when the policy changed.
    private func peerNews(_ delta: PendingDelta, for node: NodeRecord, _ stream: MapStream) -> PeerNews {
        let index = policyIndex()
        let showsAll = index.isOpen && node.isApproved
        var news = PeerNews()
        var whole = Set(delta.wholePeers)
        var removed = Set(delta.removedPeers)
        if delta.rules, stream.known != nil || !showsAll {
            let others = state.nodes.values.filter { $0.id != node.id && $0.isVisible }
            let visible = Set(others.lazy.filter { index.connects(node, $0) }.map(\.id))
            let known = stream.known ?? Set(others.map(\.id))
            whole.formUnion(visible.subtracting(known))
            removed.formUnion(known.subtracting(visible))
            stream.known = showsAll ? nil : visible.union(known)
        }
        for id in whole.sorted() {
            guard id != node.id, let peer = state.nodes[id], peer.isVisible else { continue }
            if showsAll || index.connects(node, peer) {
                stream.known?.insert(id)
                news.whole.append(peer)
            } else {
                removed.insert(id)
            }
        }
        for id in removed.sorted() where stream.known == nil || stream.known?.remove(id) != nil {
            news.removed.append(id)
        }
        for (id, change) in delta.patches {
            guard id != node.id, let peer = state.nodes[id], peer.isVisible else { continue }
            if stream.known?.contains(id) ?? true { news.patched.append((peer, change)) }
        }
        return news
    }

    /// Tells a change of a node to its peers, and what concerns itself to it.
    func announce(_ change: NodeChange, of id: NodeID) {
        guard !change.isEmpty else { return }
        streamsChanged(id, change)
        if change.contains(.routes) { settleRoutes() }
    }

    /// Marks a change of a node in every stream.
    func streamsChanged(_ id: NodeID, _ change: NodeChange) {
        for stream in streams.values {
            if stream.nodeID == id {
                guard change.contains(.own) || change.contains(.rules) else { continue }
                if change.contains(.own) { stream.delta.markOwnNode() }
                if change.contains(.rules) { stream.delta.markRules() }
            } else {
                guard !change.ofPeers.isEmpty else { continue }
                stream.delta.mark(id, change.ofPeers)
            }
            stir(stream)
        }
    }

    /// Marks a node as gone in every stream of its peers.
    func streamsRemoved(_ id: NodeID) {
        for stream in streams.values where stream.nodeID != id {
            stream.delta.markRemoved(id)
            stir(stream)
        }
    }

    /// Ends a node's streams, those of one key or all, after they have said `farewell`.
    func endStreams(of id: NodeID, withKey key: NodePublicKey?, farewell: [MapResponse]) {
        for stream in streams.values where stream.nodeID == id && (key == nil || stream.nodeKey == key) {
            stream.farewell = farewell
            stream.wakeup.yield()
        }
    }

    /// Notes that a stream has something to say; with many of them, what happens in one beat is built and packed once.
    func stir(_ stream: MapStream) {
        guard !stream.isStirred else { return }
        stream.isStirred = true
        stirred.append(stream)
        pulse.yield()
    }

    /// Wakes the writers of all streams that have something to say.
    package func wakeStreams() {
        for stream in stirred {
            stream.isStirred = false
            stream.wakeup.yield()
        }
        stirred.removeAll(keepingCapacity: true)
    }
}

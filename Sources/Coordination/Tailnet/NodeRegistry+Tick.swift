import Logging
import Tailcfg
package import WarrenCrypto

extension NodeRegistry {
    /// Does what time brings: offline, removal, expiry, keep-alives, ended logins, and writing down what can wait.
    ///
    /// To be called about once a second.
    /// - Returns: Node keys whose relay connections are to be closed now.
    package func tick() async -> [NodePublicKey] {
        let time = now()
        markOffline(now: time)
        expireKeys(now: time)
        serviceStreams(now: time)
        for id in state.dropExpiredLogins(now: time) { resolveWaiters(of: id, .expired) }
        for (login, waiting) in waiters {
            let isLong = waiting.keys.contains { number in
                waiterSince[number].map { $0.adding(seconds: CoordinationDefaults.followupSeconds) <= time } ?? false
            }
            if isLong { resolveWaiters(of: login, .stillPending) }
        }
        throttles = throttles.filter { !$0.value.isFull(now: time) }
        addressThrottles = addressThrottles.filter { !$0.value.isFull(now: time) }
        dropOldQuestions(now: time)
        let gone = evictions.filter { $0.value <= time }.map(\.key)
        for key in gone { evictions[key] = nil }
        let ephemeral = presences.filter { $0.value.removeAt.map { $0 <= time } ?? false }.map(\.key)
        // Both are retried at the next tick, and a failure was logged where it happened.
        for id in ephemeral.sorted() { try? await remove(id) }
        try? await commit()
        return gone
    }

    private func markOffline(now time: ControlTime) {
        var isRouterGone = false
        for (id, presence) in presences {
            guard let offlineAt = presence.offlineAt, offlineAt <= time else { continue }
            presences[id]?.offlineAt = nil
            onlineNodes.remove(id)
            state.update(id) { $0.wasOnline = false }
            streamsChanged(id, .online)
            isRouterGone = isRouterGone || state.nodes[id]?.primaryRoutes.isEmpty == false
            logger.debug("node offline", metadata: ["node": "\(id)"])
        }
        if isRouterGone { settleRoutes() }
    }

    private func expireKeys(now time: ControlTime) {
        var isRouterGone = false
        for node in state.nodes.values where node.isExpired(at: time) && admittedKeys.contains(node.nodeKey) {
            retire(node.nodeKey)
            streamsChanged(node.id, [.whole, .own])
            isRouterGone = isRouterGone || !node.primaryRoutes.isEmpty
            logger.info("node key expired", metadata: ["node": "\(node.id)"])
        }
        if isRouterGone { settleRoutes() }
    }

    private func serviceStreams(now time: ControlTime) {
        for stream in streams.values {
            if let since = stream.writingSince,
                since.adding(seconds: CoordinationDefaults.blockedWriteSeconds) <= time
            {
                stream.reset()
            } else if stream.wantsKeepAlive, stream.keepAliveDue <= time {
                stream.wakeup.yield()
            }
        }
    }
}

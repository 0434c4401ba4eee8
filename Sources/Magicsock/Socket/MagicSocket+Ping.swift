import Disco
package import NIOCore
import NetTypes
import Tailcfg

extension MagicSocket {
    /// Pings a peer on the disco level and gives the first answer.
    ///
    /// The ping takes the path in use while that is proven, else the relay and every address known of the peer; a lost one is
    /// repeated once. Like traffic, it wakes the peer and has a direct path looked for.
    ///
    /// - Parameters:
    ///   - peer: Whom.
    ///   - interval: When a ping counts as lost.
    ///   - limit: When to give up.
    /// - Returns: Fails with `PathPingError`.
    package func ping(
        _ peer: MagicPeer,
        interval: Duration = MagicsockConstants.pingTimeout,
        limit: Duration = MagicsockConstants.pingLimit
    ) -> EventLoopFuture<PathPing> {
        guard !isClosed, peers[peer.nodeKey] === peer, peer.discoBox != nil, peer.plain == nil else {
            return eventLoop.makeFailedFuture(isClosed ? PathPingError.closed : .noDisco)
        }
        let query = PathQueries.Query(peer: peer, promise: eventLoop.makePromise())
        pathQueries.begin(query)
        sendPings(of: query)
        let loop = eventLoop.assumeIsolated()
        let again = loop.scheduleTask(in: .nanoseconds(interval.wholeNanoseconds)) { [weak self] in
            guard let self, self.pathQueries.isOpen(query) else { return }
            self.sendPings(of: query)
        }
        let end = loop.scheduleTask(in: .nanoseconds(limit.wholeNanoseconds)) { [weak self] in
            self?.pathQueries.fail(query, .timedOut)
        }
        query.promise.futureResult.assumeIsolated().whenComplete { _ in
            again.cancel()
            end.cancel()
        }
        return query.promise.futureResult
    }

    private func sendPings(of query: PathQueries.Query) {
        let (peer, now) = (query.peer, now)
        guard let box = peer.discoBox else { return pathQueries.fail(query, .noDisco) }
        let wasTrusted = peer.endpoint.isTrusted(at: now)
        let actions = peer.endpoint.probe(at: now, using: &generator)
        for case .ping(let address, let transaction) in actions {
            pathQueries.note(transaction, by: .direct(address), at: now, for: query)
        }
        let region = relayRegion(of: peer)
        if !wasTrusted, !region.isNone {
            let transaction = TransactionID(using: &generator)
            let message = DiscoMessage.ping(DiscoPing(transaction: transaction, nodeKey: nodeKey))
            let packet = DiscoEnvelope.seal(message, from: discoPublicKey, with: box)
            if derp.send(packet.span, to: peer.nodeKey, through: region) {
                pathQueries.note(transaction, by: .relay(region, code: derp.code(of: region)), at: now, for: query)
            }
        }
        if query.transactions.isEmpty { pathQueries.fail(query, .noPath) }
        perform(actions, for: peer)
        flush()
    }
}

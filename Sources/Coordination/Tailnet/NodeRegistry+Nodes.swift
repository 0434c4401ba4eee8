import Logging
package import NetTypes
import Tailcfg
import WarrenCrypto
package import WarrenModel

extension NodeRegistry {
    /// A node, and what is known of it beside its record.
    package struct Sighting: Sendable {
        /// The node.
        package let node: NodeRecord
        /// Its full name with trailing dot.
        package let dnsName: String
        /// Whether peers take it for online.
        package let isOnline: Bool
        /// Whether its key has ended.
        package let isExpired: Bool
    }

    /// The nodes in the order of their numbers, and whether each is online.
    package func nodes() -> [Sighting] { state.nodes.values.sorted { $0.id < $1.id }.map(sighting) }

    /// A node by its number or its name.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`.
    package func node(named reference: String) throws(CoordinationError) -> Sighting { sighting(try found(reference)) }

    private func sighting(_ node: NodeRecord) -> Sighting {
        Sighting(
            node: node,
            dnsName: state.dnsName(of: node.givenName),
            isOnline: onlineNodes.contains(node.id),
            isExpired: node.isExpired(at: now())
        )
    }

    private func found(_ reference: String) throws(CoordinationError) -> NodeRecord {
        if let number = Int64(reference), let node = state.nodes[NodeID(rawValue: number)] { return node }
        guard let node = state.nodes.values.first(where: { $0.givenName == reference }) else { throw .nodeNotFound }
        return node
    }

    /// Changes what an administrator decides about a node, all of it or nothing.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`, `nodeNameTaken`, `ValidationFailure`, or what the store reports.
    package func patchNode(_ reference: String, _ patch: PatchTailnetNodeRequest) async throws -> Sighting {
        let before = try found(reference)
        let time = now()
        let name = try label(patch.name, of: before)
        let expiry = try keyExpiry(patch, of: before, now: time)
        state.update(before.id) { node in
            node.givenName = name ?? node.givenName
            if let change = patch.name { node.isNameSetByAdministrator = change != .clear }
            node.isApproved = patch.approved ?? node.isApproved
        }
        if let tags = patch.tags { state.changeTags(tags, of: before.id, now: time) }
        if let expiry { _ = state.expire(before.id, at: expiry) }
        guard let after = state.nodes[before.id] else { throw CoordinationError.nodeNotFound }
        tell(before, after, now: time)
        try await commit()
        logger.info("node changed", metadata: ["node": "\(after.id)", "name": "\(after.givenName)"])
        return sighting(after)
    }

    /// Tells what an administrator changed about a node to all whom it concerns.
    private func tell(_ before: NodeRecord, _ after: NodeRecord, now time: ControlTime) {
        var change = TailnetState.change(from: before, to: after)
        let isAhead = !after.keyExpiry.isZero && !before.isExpired(at: time) && !after.isExpired(at: time)
        var onlyExpiry = before
        onlyExpiry.keyExpiry = after.keyExpiry
        // A patch can say when a key ends, but not that it never does.
        if isAhead, onlyExpiry == after, before != after { change = [.expiry, .own] }
        if before.isApproved, !after.isApproved {
            retire(after.nodeKey)
            streamsRemoved(after.id)
            change.subtract(.whole)
        }
        admitKey(of: after)
        announce(change, of: after.id)
        if before.isExpired(at: time) != after.isExpired(at: time) { settleRoutes() }
    }

    private func label(
        _ change: PatchTailnetNodeRequest.Change<String>?,
        of node: NodeRecord
    ) throws(CoordinationError) -> String? {
        switch change {
        case nil: return nil
        case .clear:
            return GivenName.unique(GivenName.label(for: node.hostinfo.hostname)) { state.isTaken($0, by: node.id) }
        case .set(let label):
            guard !state.isTaken(label, by: node.id) else { throw .nodeNameTaken(label) }
            return label
        }
    }

    private func keyExpiry(
        _ patch: PatchTailnetNodeRequest,
        of node: NodeRecord,
        now time: ControlTime
    ) throws(ValidationFailure) -> ControlTime? {
        switch patch.keyExpiry {
        case nil: return nil
        case .clear: return .zero
        case .set(let timestamp):
            let milliseconds = timestamp.millisecondsSinceEpoch
            let expiry = ControlTime(
                seconds: milliseconds / 1000,
                nanoseconds: Int32(truncatingIfNeeded: milliseconds % 1000) * 1_000_000
            )
            let isTagged = patch.tags.map { !$0.isEmpty } ?? node.isTagged
            if expiry <= time {
                let detail = "must be in the future; POST \(node.id)/expire ends a key now"
                throw ValidationFailure([FieldError(pointer: "/keyExpiry", code: .outOfRange, detail: detail)])
            }
            if isTagged {
                let detail = "the key of a tagged node does not end"
                throw ValidationFailure([FieldError(pointer: "/keyExpiry", code: .refused, detail: detail)])
            }
            return expiry
        }
    }

    /// Lets a node take part.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`, or what the store reports.
    package func approveNode(_ reference: String) async throws -> Sighting {
        var patch = PatchTailnetNodeRequest()
        patch.approved = true
        return try await patchNode(reference, patch)
    }

    /// Ends a node's key now; the node keeps its name and its addresses, and has to log in again.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`, or what the store reports.
    package func expireNode(_ reference: String) async throws -> Sighting {
        let node = try found(reference)
        let time = now()
        if !node.isExpired(at: time) {
            _ = state.expire(node.id, at: time)
            retire(node.nodeKey)
            streamsChanged(node.id, [.whole, .own])
            if !node.primaryRoutes.isEmpty { settleRoutes() }
            try await commit()
            logger.info("node expired", metadata: ["node": "\(node.id)"])
        }
        return try self.node(named: node.id.description)
    }

    /// Sets which routes a node may serve.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`, or what the store reports.
    package func approveRoutes(_ routes: [IPPrefix], of reference: String) async throws -> Sighting {
        let before = try found(reference)
        state.approveRoutes(routes, of: before.id)
        if let after = state.nodes[before.id], after != before {
            announce(TailnetState.change(from: before, to: after), of: before.id)
            try await commit()
            logger.info(
                "routes approved",
                metadata: ["node": "\(before.id)", "count": "\(after.approvedRoutes.count)"]
            )
        }
        return try node(named: before.id.description)
    }

    /// Removes a node: it is told that its key has ended, then its stream ends and its peers forget it.
    ///
    /// - Throws: `CoordinationError.nodeNotFound`, or what the store reports.
    package func removeNode(_ reference: String) async throws { try await remove(try found(reference).id) }

    func remove(_ id: NodeID) async throws {
        guard let node = state.nodes[id] else { return }
        let time = now()
        // Without the farewell a stock client would keep its last map and retry the poll for ever.
        let farewell = MapBuilder.farewell(builder().selfNode(node), now: time)
        state.removeNode(id, now: time)
        presences[id] = nil
        onlineNodes.remove(id)
        retire(node.nodeKey)
        endStreams(of: id, withKey: nil, farewell: [farewell])
        streamsRemoved(id)
        if !node.primaryRoutes.isEmpty { settleRoutes() }
        try await commit()
        logger.info("node removed", metadata: ["node": "\(id)", "name": "\(node.givenName)"])
    }
}

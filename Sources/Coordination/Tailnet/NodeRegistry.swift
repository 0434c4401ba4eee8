package import Logging
import NetTypes
package import Tailcfg
import WarrenCrypto

/// The tailnet at work: its state, who is connected, what each stream has yet to hear, and what must be written down.
///
/// Every change of state happens in one go between two suspensions; writing it down follows, and only then does the client hear of it.
package actor NodeRegistry {
    var state: TailnetState
    var streams: [MapStreamID: MapStream] = [:]
    var presences: [NodeID: Presence] = [:]
    /// The nodes that peers take for online.
    var onlineNodes: Set<NodeID> = []
    /// Streams that have something to say since the last beat.
    var stirred: [MapStream] = []
    var waiters: [String: [UInt64: AsyncStream<LoginOutcome>.Continuation]] = [:]
    var waiterSince: [UInt64: ControlTime] = [:]
    var throttles: [MachinePublicKey: RegisterThrottle] = [:]
    var addressThrottles: [IPAddress: RegisterThrottle] = [:]
    var questions: [String: OpenQuestion] = [:]
    var evictions: [NodePublicKey: ControlTime] = [:]
    var derpMap: DERPMap
    let logger: Logger
    let now: @Sendable () -> ControlTime
    let publicURL: @Sendable () -> String
    /// The keys that the relay admits, for it to read without waiting.
    package nonisolated let admittedKeys = AdmittedKeys()
    /// Says that streams have something to say; whoever serves them answers with `wakeStreams`, and not too often.
    package nonisolated let pulses: AsyncStream<Void>
    let pulse: AsyncStream<Void>.Continuation
    private let persistence: any CoordinationPersistence
    private var index: (epoch: UInt64, value: PolicyIndex)?
    private var nextNumber: UInt64 = 1
    private var isCommitting = false
    private var commitWaiters: [CheckedContinuation<Void, Never>] = []

    /// What is to happen unless a stream opens.
    struct Presence {
        /// When the node becomes offline.
        var offlineAt: ControlTime?
        /// When an ephemeral node is removed.
        var removeAt: ControlTime?
    }

    /// Takes up what was written down.
    ///
    /// - Parameters:
    ///   - rules: What an administrator decided.
    ///   - persistence: Where state is kept.
    ///   - derpMap: The relays.
    ///   - publicURL: The base of login URLs, without trailing slash.
    ///   - now: The clock.
    ///   - logger: Gets what happens.
    /// - Throws: `CoordinationError.invalidAddressRange`, or what the store reports.
    package init(
        rules: TailnetRules,
        persistence: any CoordinationPersistence,
        derpMap: DERPMap,
        publicURL: @escaping @Sendable () -> String,
        now: @escaping @Sendable () -> ControlTime,
        logger: Logger
    ) async throws {
        (pulses, pulse) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let snapshot = try await persistence.loadSnapshot()
        let state = try TailnetState(rules: rules, snapshot: snapshot)
        self.state = state
        self.persistence = persistence
        self.derpMap = derpMap
        self.publicURL = publicURL
        self.now = now
        self.logger = logger
        let time = now()
        for node in state.nodes.values {
            var presence = Presence()
            if node.wasOnline {
                onlineNodes.insert(node.id)
                presence.offlineAt = time.adding(seconds: CoordinationDefaults.restartGraceSeconds)
            }
            if node.isEphemeral {
                presence.removeAt = time.adding(seconds: rules.ephemeralInactivitySeconds)
            }
            presences[node.id] = presence
            if node.isApproved, !node.isExpired(at: time) { admittedKeys.insert(node.nodeKey) }
        }
    }

    /// What an administrator decided.
    package var rules: TailnetRules { state.rules }

    /// A number that was not given out before.
    func takeNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    /// A builder for this moment.
    func builder() -> MapBuilder {
        MapBuilder(state: state, derpMap: derpMap, online: onlineNodes, index: policyIndex(), now: now())
    }

    /// The policy applied to the present nodes.
    func policyIndex() -> PolicyIndex {
        if let index, index.epoch == state.policyEpoch { return index.value }
        let value = PolicyIndex(state.policy, nodes: state.nodes.values)
        index = (state.policyEpoch, value)
        return value
    }

    /// Decides anew which router serves what, and tells those whom it concerns.
    func settleRoutes() {
        for id in state.electPrimaries(online: onlineNodes, now: now()) {
            streamsChanged(id, [.whole, .own, .rules])
            logger.info("routes moved", metadata: ["node": "\(id)"])
        }
    }

    /// Writes down what is not yet written; returns when it is durable.
    func commit() async throws {
        while isCommitting {
            await withCheckedContinuation { commitWaiters.append($0) }
        }
        guard !state.changes.isEmpty else { return }
        isCommitting = true
        let changes = state.changes
        state.changes = CoordinationChanges()
        defer {
            isCommitting = false
            let waiting = commitWaiters
            commitWaiters = []
            for waiter in waiting { waiter.resume() }
        }
        do {
            try await persistence.commit(changes)
        } catch {
            state.changes.restore(changes)
            logger.error("state not written", metadata: ["error": "\(error)"])
            throw error
        }
    }
}

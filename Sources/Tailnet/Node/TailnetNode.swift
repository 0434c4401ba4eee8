import ControlPlane
import FoundationEssentials
import GuestNetwork
import Logging
import Magicsock
package import NIOCore
import NetTypes
import Tailcfg
import WarrenCrypto
package import WarrenModel

/// One node of a tailnet: logs in, follows the map, and keeps the data plane in step with it.
///
/// Everything slow is here; packets never enter the actor. `run()` lives as long as the node takes part.
package actor TailnetNode {
    /// Commits an identity before its keys are used; `true` also wipes the auth key in the same transaction.
    package typealias Commit = @Sendable (NodeIdentity, Bool) async throws -> Void

    let configuration: TailnetNodeConfiguration
    let eventLoop: any EventLoop
    let commit: Commit
    let clock: any Clock<Duration>
    let logger: Logger
    let reachability: LatestValue<MagicSocketReport?>
    let plane: NIOLoopBoundBox<DataPlane?>
    var preferences: NodePreferences
    var identity: NodeIdentity { didSet { identityVersion += 1 } }
    var identityVersion = 0
    var isIdentityStored: Bool
    var authKey: SecretText?
    var status: NetworkStatus
    var isPolling = false
    var reducer = NetworkMapReducer()
    var translation: NetworkTranslation
    /// When the clock changes something: a key ends, or a warning is due.
    var nextDeadline: ControlTime?
    var discoKey = DiscoPublicKey.zero
    /// Why the node must log in again, while it must.
    var loginReason: StateReason?
    /// Where a person renews the key of a node that goes on meanwhile.
    var renewalURL: String?
    /// What control wants a person to open, apart from any login.
    var browserURL: String?
    /// The auth key for the login under way.
    var loginKey: SecretText?
    /// What the owner is told of the exit node.
    var exitNode = ExitNodeStatus.none
    /// How near the end of the key is.
    var keyWarning: KeyWarning?
    /// What control was told last.
    var published: MapRequest?
    /// Raised with every wish of the owner's.
    let wishes = LevelSignal()
    var wish: NodeWish?
    var seenWishes: Int64 = 0
    var isTakingPart = false
    // At one from the start, so that a reader that knows nothing gets the first state at once.
    private let signal = LevelSignal(level: 1)
    private var netmapVersion: Int64 = 0
    private var toldNetmapVersion: Int64 = 0
    // What a list of all peers adds up to, whatever its order; nobody keeps the list itself.
    private var peerDigest = 0

    /// A node that does not take part yet.
    ///
    /// - Parameters:
    ///   - configuration: Where to log in, as what, and how to reach others.
    ///   - identity: The stored identity; nil makes a new one, which is committed before it is used.
    ///   - eventLoop: The one loop that the node's packets stay on.
    ///   - clock: What waits are measured by.
    ///   - commit: Stores an identity durably.
    package init(
        configuration: TailnetNodeConfiguration,
        identity: NodeIdentity?,
        eventLoop: any EventLoop,
        clock: any Clock<Duration> = ContinuousClock(),
        commit: @escaping Commit
    ) {
        self.configuration = configuration
        self.identity = identity ?? NodeIdentity()
        translation = NetworkTranslation(remembered: identity?.exitNode)
        self.eventLoop = eventLoop
        self.clock = clock
        self.commit = commit
        isIdentityStored = identity != nil
        preferences = configuration.preferences
        authKey = configuration.authKey
        loginKey = configuration.authKey
        logger = configuration.logger
        reachability = LatestValue(nil)
        plane = NIOLoopBoundBox.makeBoxSendingValue(nil, eventLoop: eventLoop)
        status = NetworkStatus(since: Timestamp.wallClock)
    }

    /// Takes part in the tailnet until the task is cancelled.
    package func run() async {
        do {
            let client = try Self.client(for: identity, configuration, eventLoop)
            try await startPlane(isOneMachine: try ControlURL(configuration.controlURL).isLocal)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.takePart(client) }
                group.addTask { await self.publishReachability(client) }
                group.addTask {
                    // Ends requests that wait for the server without limit, such as a follow-up.
                    await Self.sleepUntilCancelled()
                    await client.close()
                }
                await group.waitForAll()
            }
            await stopPlane()
        } catch let error as ControlError {
            set(.noState, NodeReason.invalidControlURL("\(error)"))
            await Self.sleepUntilCancelled()
        } catch {
            logger.error("node not started", metadata: ["error": "\(error)"])
            await stopPlane()
            set(.noState, StateReason(code: "node-not-started", message: "The node's sockets could not be opened."))
            await Self.sleepUntilCancelled()
        }
    }

    /// The first report after `version`, or the newest when the task is cancelled; a level, so that nothing is missed.
    package func report(after version: Int64) async -> NodeReport {
        await signal.wait(above: version)
        return NodeReport(
            version: signal.level,
            status: status,
            netmapVersion: netmapVersion,
            peers: (map?.sortedPeers ?? []).map { PeerStatus($0) },
            keyWarning: keyWarning
        )
    }

    /// Everything the API shows about the node.
    package func detail() async -> NetworkDetail {
        let box = plane
        let snapshot = try? await eventLoop.submit { box.value?.snapshot() }.get()
        return NetworkDetail(status: status, snapshot: snapshot ?? nil, map: map, preferences: preferences)
    }

    // MARK: State

    /// Moves to a state; readers are told when anything changed.
    func set(_ state: NetworkState, _ reason: StateReason? = nil, loginURL: String? = nil) {
        change { status in
            status.enter(state, reason: reason, now: Timestamp.wallClock)
            let shown = loginURL ?? renewalURL ?? browserURL
            if status.loginUrl != shown { status.loginUrlSince = shown.map { _ in Timestamp.wallClock } }
            status.loginUrl = shown
            if state != .running {
                status.exitNode = nil
                status.internet = .blocked
            }
        }
    }

    /// What control says; stays while the connection to it is down.
    var map: NetworkMap? { reducer.map }

    /// Forgets what control said: it was about a key that is no more.
    func forgetMap() {
        reducer = NetworkMapReducer()
        translation = NetworkTranslation(remembered: identity.exitNode)
        nextDeadline = nil
        guard peerDigest != 0 else { return }
        peerDigest = 0
        netmapVersion += 1
    }

    /// Notes what became of the peers, for the next `change`; nil when all may be others.
    func noteNetmap(_ map: NetworkMap, _ mapChange: NetworkMapChange?) {
        var digest = peerDigest
        if let mapChange, !mapChange.allPeers {
            for peer in mapChange.peers.values {
                if let before = peer.before { digest &-= PeerStatus(before).hashValue }
                if let after = peer.after { digest &+= PeerStatus(after).hashValue }
            }
        } else {
            digest = map.peers.values.reduce(0) { $0 &+ PeerStatus($1).hashValue }
        }
        guard digest != peerDigest else { return }
        peerDigest = digest
        netmapVersion += 1
    }

    /// Notes how near the end of the key is; readers are told when that is another warning than before.
    func note(_ warning: KeyWarning?) {
        guard warning != keyWarning else { return }
        keyWarning = warning
        signal.raise()
    }

    /// Changes the status; readers are told when anything came of it.
    func change(_ body: (inout NetworkStatus) -> Void) {
        let before = status
        let toldNetmap = toldNetmapVersion
        body(&status)
        toldNetmapVersion = netmapVersion
        guard status != before || netmapVersion != toldNetmap else { return }
        signal.raise()
    }

    static func sleepUntilCancelled() async {
        while !Task.isCancelled {
            // Cancellation ends the sleep; nothing else is awaited here.
            try? await ContinuousClock().sleep(for: .seconds(86_400))
        }
    }

    // MARK: Data plane

    private func startPlane(isOneMachine: Bool) async throws {
        let box = plane
        let loop = eventLoop
        let key = identity.nodeKey
        let configuration = configuration
        let level = reachability
        discoKey = try await loop.flatSubmit {
            let plane = DataPlane(
                eventLoop: loop,
                nodeKey: key,
                configuration: configuration,
                isOneMachine: isOneMachine
            ) { level.set($0) }
            box.value = plane
            let key = plane.discoPublicKey
            return plane.start().map { key }
        }.get()
    }

    private func stopPlane() async {
        let box = plane
        // The loop outlives the node; when it does not, there is nothing left to stop.
        try? await eventLoop.submit {
            box.value?.stop()
            box.value = nil
        }.get()
    }

    /// Runs `body` with the data plane on its loop.
    func onPlane(_ body: @escaping @Sendable (DataPlane) -> Void) async {
        let box = plane
        try? await eventLoop.submit { if let plane = box.value { body(plane) } }.get()
    }
}

extension Timestamp {
    /// The wall clock.
    static var wallClock: Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64(Date().timeIntervalSince1970 * 1000))
    }
}

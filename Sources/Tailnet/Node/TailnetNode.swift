import ControlPlane
import FoundationEssentials
import Logging
import Magicsock
import NetTypes
import Tailcfg
import WarrenCrypto
package import WarrenModel

/// One node of a tailnet: logs in, follows the network map, publishes how it can be reached, and feeds its packet plane.
///
/// ```
/// NoState ─▶ NeedsLogin ─▶ Starting ─▶ Running ─▶ (key expired) NeedsLogin …
///                 ▲            └─▶ NeedsMachineAuth ─▶ Running
///                 └ auth key rejected, with a reason and a slow retry
/// ```
/// A control server that does not answer changes no state: packets to known peers go on, and the reason says what is wrong.
package actor TailnetNode {
    /// Commits an identity before its keys are used; `true` also wipes the auth key.
    package typealias Commit = @Sendable (NodeIdentity, Bool) async throws -> Void

    let configuration: NodeConfiguration
    let plane: any PacketPlane
    let commit: Commit
    var identity: NodeIdentity
    var authKey: String?
    var status = NetworkStatus(since: .epoch)
    var map: NetworkMap?
    private let signal = LevelSignal()
    private var netmapVersion: Int64 = 0
    private var peers: [PeerStatus] = []
    private var generator = SystemRandomNumberGenerator()

    /// A node that does not run yet.
    package init(
        configuration: NodeConfiguration,
        identity: NodeIdentity,
        plane: any PacketPlane,
        commit: @escaping Commit
    ) {
        self.configuration = configuration
        self.identity = identity
        self.plane = plane
        self.commit = commit
        authKey = configuration.authKey
    }

    // MARK: - What others read

    /// The first report after `version`, as soon as there is one, or the newest when the task is cancelled.
    package func report(after version: Int64) async -> NodeReport {
        await signal.wait(above: version)
        return NodeReport(version: signal.level, status: status, netmapVersion: netmapVersion, peers: peers)
    }

    /// Everything that can be shown about the node.
    package func detail() async -> NetworkDetail {
        let traffic = await plane.traffic()
        let report = await plane.report()
        return NetworkDetail(
            status: status,
            peers: map?.sortedPeers.map { PeerStatus($0, traffic: traffic.peers[$0.key], now: .now) } ?? [],
            netcheck: report.map { NetcheckReport($0, regions: map?.derpMap) },
            dns: DNSReport(
                magicDns: map?.dnsConfig.proxied ?? false, searchDomains: map?.dnsConfig.domains ?? [],
                resolvers: map?.dnsConfig.resolvers.map(\.address) ?? []
            ),
            routes: map.map(Self.routes) ?? [],
            drops: traffic.drops
        )
    }

    private static func routes(_ map: NetworkMap) -> [String] {
        map.sortedPeers.flatMap(\.effectiveAllowedIPs).filter { $0.length > 0 }.map(\.description)
    }

    // MARK: - Life

    /// Takes part in the tailnet until the task is cancelled.
    package func run() async {
        do {
            try await plane.start()
        } catch {
            change { $0.health = ["No UDP socket could be bound; everything goes by relay."] }
            configuration.logger.warning("packet plane not started", metadata: ["error": "\(error)"])
        }
        do {
            let client = ControlClient(
                configuration: try configuration.control(machineKey: identity.machineKey),
                eventLoop: configuration.eventLoop, dialPolicy: configuration.dialPolicy, logger: configuration.logger
            )
            await follow(client)
            await client.close()
        } catch {
            change { $0.enter(.noState, reason: NodeReason.invalidControlURL, now: .epoch) }
            await signal.wait(above: .max)  // Only cancellation ends a node whose configuration is wrong.
        }
        await plane.close()
    }

    /// Tells control that an identity is given up, so that the node leaves its tailnet.
    ///
    /// - Throws: `ControlError` when control could not be told; a server that does not know the node counts as told.
    package static func logOut(_ identity: NodeIdentity, configuration: NodeConfiguration) async throws {
        let client = ControlClient(
            configuration: try configuration.control(machineKey: identity.machineKey),
            eventLoop: configuration.eventLoop, dialPolicy: configuration.dialPolicy, logger: configuration.logger
        )
        var info = Hostinfo()
        info.backendLogID = identity.backendLogID
        info.hostname = configuration.hostname
        let request = RegisterRequest(version: .current, nodeKey: identity.nodeKey.publicKey, hostinfo: info)
        do throws(ControlError) {
            try await client.logout(request)
            await client.close()
        } catch {
            await client.close()
            throw error
        }
    }

    private func follow(_ client: ControlClient) async {
        while !Task.isCancelled {
            guard await logIn(client) else { continue }
            var ending = PollEnding.failed
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.publish(client) }
                ending = await poll(client)
                group.cancelAll()
            }
            await plane.setControlConnected(false)
            if ending == .needsNewKey { await replaceKey() }
        }
    }

    // MARK: - Log in

    /// Registers the node key; false when the task was cancelled or the key could not be kept.
    private func logIn(_ client: ControlClient) async -> Bool {
        var registration = Registration()
        var pending = registration.handle(
            .start(storedKey: identity.nodeKey.publicKey, oldKey: identity.oldNodeKey ?? .zero), using: &generator
        )
        if !identity.isRegistered {
            guard await keep(identity, wipesAuthKey: false) else { return false }
        }
        if status.state != .running, status.state != .needsLogin { change { $0.enter(.starting, now: .epoch) } }
        while !Task.isCancelled, !pending.isEmpty {
            switch pending.removeFirst() {
            case .makeKey:
                var next = identity
                next.oldNodeKey = identity.isRegistered ? identity.nodeKey.publicKey : identity.oldNodeKey
                next.nodeKey = NodePrivateKey()
                next.isRegistered = false
                guard await keep(next, wipesAuthKey: false) else { return false }
                pending += registration.handle(.keyMade(next.nodeKey.publicKey), using: &generator)
            case .send(let attempt):
                do {
                    let response = try await client.register(request(attempt))
                    change { if $0.stateReason?.code == NodeReason.unreachableCode { $0.stateReason = nil } }
                    pending += registration.handle(.answered(response), using: &generator)
                } catch {
                    guard !Task.isCancelled else { return false }
                    note(error)
                    pending += registration.handle(.failed(error), using: &generator)
                }
            case .showAuthURL(let url):
                change {
                    $0.enter(.needsLogin, now: .epoch)
                    $0.loginUrl = url
                }
                configuration.logger.notice("login needed", metadata: ["host": "\(LoginURL.masked(url))"])
            case .refused(let text): refuse(text)
            case .keyUnacceptable:
                change {
                    $0.enter(.needsLogin, reason: NodeReason.keyUnacceptable, now: .epoch)
                    $0.loginUrl = nil
                }
            case .wait(let pause):
                guard (try? await ContinuousClock().sleep(for: pause)) != nil else { return false }
                pending += registration.handle(.waited, using: &generator)
            case .loggedIn(_, let isAuthorized):
                var next = identity
                next.isRegistered = true
                next.oldNodeKey = nil
                // Control forgets ephemeral nodes, so that they need their key again.
                guard await keep(next, wipesAuthKey: !configuration.isEphemeral) else { return false }
                if !configuration.isEphemeral { authKey = nil }
                await plane.setNodeKey(next.nodeKey)
                change {
                    $0.enter(isAuthorized ? .starting : .needsMachineAuth, now: .epoch)
                    $0.loginUrl = nil
                }
                return true
            }
        }
        return false
    }

    private func request(_ attempt: Registration.Attempt) -> RegisterRequest {
        var request = RegisterRequest(version: .current, nodeKey: attempt.nodeKey, hostinfo: hostinfo(nil))
        request.oldNodeKey = attempt.oldNodeKey
        request.followup = attempt.followup
        request.authKey = authKey
        request.ephemeral = configuration.isEphemeral
        return request
    }

    private func refuse(_ text: String) {
        let reason = authKey == nil ? NodeReason.loginRejected(text) : NodeReason.authKeyRejected(text)
        if status.stateReason?.code != reason.code {
            configuration.logger.warning("login refused", metadata: ["reason": "\(text)"])
        }
        change {
            $0.enter(.needsLogin, reason: reason, now: .epoch)
            $0.loginUrl = nil
        }
    }

    private func keep(_ next: NodeIdentity, wipesAuthKey: Bool) async -> Bool {
        do {
            try await commit(next, wipesAuthKey)
            identity = next
            return true
        } catch {
            configuration.logger.error("node identity not written", metadata: ["error": "\(error)"])
            change { $0.stateReason = NodeReason.notStored }
            _ = try? await ContinuousClock().sleep(for: .seconds(2))  // Only cancellation ends it early.
            return false
        }
    }

    /// The key has ended: the next login begins with a new one, and the old one stays known as what it replaces.
    private func replaceKey() async {
        var next = identity
        next.oldNodeKey = identity.nodeKey.publicKey
        next.nodeKey = NodePrivateKey()
        next.isRegistered = false
        _ = await keep(next, wipesAuthKey: false)
    }

    // MARK: - Status

    func change(_ body: (inout NetworkStatus) -> Void) {
        var next = status
        body(&next)
        guard next != status else { return }
        status = next
        signal.raise()
    }

    func note(_ error: ControlError) {
        let reason = NodeReason.reason(error)
        if status.stateReason?.code != reason.code {
            configuration.logger.warning("control server fails; retrying", metadata: ["reason": "\(reason.message)"])
        }
        change { $0.stateReason = reason }
    }

    func netmapChanged() {
        peers = map?.sortedPeers.map { PeerStatus($0, traffic: nil, now: .now) } ?? []
        netmapVersion += 1
        signal.raise()
    }

    /// What the node says about itself.
    func hostinfo(_ netInfo: NetInfo?) -> Hostinfo {
        var info = Hostinfo()
        info.ipnVersion = NodeDefaults.clientVersion
        info.backendLogID = identity.backendLogID
        info.os = "linux"
        info.hostname = configuration.hostname
        info.goArch = "amd64"
        info.app = "warren"
        info.userspace = true
        info.userspaceRouter = true
        info.netInfo = netInfo
        return info
    }
}

/// Values we chose, with their reasons.
package enum NodeDefaults {
    /// Servers parse the leading version: one that speaks capability 131.
    package static let clientVersion = "1.94.0-warren"
}

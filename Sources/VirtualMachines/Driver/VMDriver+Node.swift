import Logging
import NetTypes
import QEMU
import Store
import Tailnet
import WarrenModel

extension VMDriver {
    /// Takes part in the tailnet, and writes down what the node reports, until the task is cancelled.
    func runNode() async {
        var pause = Duration.seconds(1)
        while !Task.isCancelled {
            do {
                return try await takePart()
            } catch {
                logger.error("node not started; trying again", metadata: ["error": "\(error)"])
                await noteNodeStopped(
                    StateReason(code: "node-not-started", message: "What is stored of the node cannot be read.")
                )
                // Cancellation is checked at the top.
                try? await ContinuousClock().sleep(for: pause)
                pause = min(pause * 2, .seconds(60))
            }
        }
    }

    private func takePart() async throws {
        guard let interface = record.spec.networkInterface else { return }
        let secrets = try await host.database.secrets(of: id)
        let identity = try await host.database.identity(of: id)
        let directory = try VMDirectory.create(path: directoryPath)
        let database = host.database
        let id = id
        let node = host.nodes.node(
            for: VMNodeRequest(
                id: id,
                interface: interface,
                authKey: secrets.authKey,
                identity: identity,
                nicSocketPath: directory.path(of: .nic),
                eventLoop: eventLoop,
                commit: { identity, wipesAuthKey in
                    try await database.saveIdentity(identity, of: id, wipingAuthKey: wipesAuthKey)
                }
            )
        )
        self.node = node
        if let latest = record.spec.networkInterface, latest != interface {
            // Changed while the above was read.
            await node.update(preferences: NodePreferences(hostname: latest.hostname.text, latest.preferences))
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await node.run() }
            group.addTask { await self.follow(node) }
            await group.waitForAll()
        }
        // The node reads its socket by the directory's descriptor.
        withExtendedLifetime(directory) {}
    }

    private func follow(_ node: any VMNode) async {
        var version: Int64 = 0
        var netmapVersion: Int64 = 0
        while !Task.isCancelled {
            let report = await node.report(after: version)
            guard !Task.isCancelled else { return }
            guard await write(report, netmapChanged: report.netmapVersion != netmapVersion && netmapVersion != 0) else {
                // A login URL may be in it, and the node may have nothing more to say: the same level is read again.
                try? await ContinuousClock().sleep(for: .seconds(1))
                continue
            }
            version = report.version
            netmapVersion = report.netmapVersion
        }
    }

    /// Whether the report is written.
    private func write(_ report: NodeReport, netmapChanged: Bool) async -> Bool {
        let now = host.now
        let old = record.status.network
        do {
            adopt(
                try await host.database.updateVM(id, now: now) { record in
                    let change = NetworkChange(from: record.status.network, to: report, now: now)
                    record.status.network = change.status
                    let warned = KeyWarningMemory(record.runtime)
                    let due = KeyWarningMemory(report)
                    record.runtime = due.merged(into: record.runtime)
                    return change.drafts(includingNetmap: netmapChanged, peers: report.peers)
                        + due.drafts(after: warned)
                }
            )
        } catch {
            // Whoever ended the node writes what becomes of it.
            guard !Task.isCancelled else { return false }
            logger.error("network state not written", metadata: ["error": "\(error)"])
            return false
        }
        changes.raise()
        await updateLink(old: old)
        return true
    }

    /// The link is up while the node runs, and toggled when its addresses change, so that the guest asks for its lease again.
    private func updateLink(old: NetworkStatus?) async {
        guard let network = record.status.network else { return }
        let isUp = network.state == .running && !network.addresses.isEmpty
        if isUp, isLinkWanted, let old, old.addresses != network.addresses {
            await setLink(up: false)
            // A guest's driver looks at the link when it gets to it: what is too short it never sees.
            try? await ContinuousClock().sleep(for: Self.shortestLinkDown)
            // Whoever stops the node takes the link down for good.
            guard !Task.isCancelled else { return }
        }
        let changed = isUp != isLinkWanted || old?.addresses != network.addresses
        isLinkWanted = isUp
        if changed { await setLink(up: isUp) }
    }

    /// Long enough for a guest that shares its processor with many, short enough for a person.
    private static let shortestLinkDown = Duration.milliseconds(500)

    /// The VM shows a node at rest: its addresses stay, because they stay its own.
    func noteNodeStopped(_ reason: StateReason? = nil) async {
        guard let network = record.status.network, network.state != .stopped || network.stateReason != reason else {
            return
        }
        let now = host.now
        do {
            adopt(
                try await host.database.updateVM(id, now: now) { record in
                    guard var network = record.status.network else { return [] }
                    let previous = network.state
                    network.enter(.stopped, reason: reason, now: now)
                    let exit = (network.exitNode, network.internet)
                    (network.exitNode, network.internet) = (nil, .blocked)
                    network.loginUrl = nil
                    network.loginUrlSince = nil
                    network.homeDerp = nil
                    network.peerCount = 0
                    record.status.network = network
                    var drafts: [EventDraft] = []
                    if previous != .stopped {
                        drafts.append(.stateChanged(to: .stopped, from: previous, reason: reason))
                    }
                    if exit.0 != nil || exit.1 != .blocked {
                        drafts.append(.exitNodeChanged(to: nil, from: exit.0, internet: .blocked))
                    }
                    return drafts
                }
            )
            changes.raise()
        } catch {
            logger.error("network state not written", metadata: ["error": "\(error)"])
        }
    }
}

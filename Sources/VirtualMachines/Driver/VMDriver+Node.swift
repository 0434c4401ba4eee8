import Logging
import NetTypes
import QEMU
import Store
import Tailnet
import WarrenModel

extension VMDriver {
    /// Takes part in the tailnet, and writes down what the node reports, until the task is cancelled.
    func runNode() async {
        guard let interface = record.spec.networkInterface else { return }
        let node: any VMNode
        do {
            let secrets = try await host.database.secrets(of: id)
            let identity = try await host.database.identity(of: id)
            let directory = try VMDirectory.create(path: directoryPath)
            let database = host.database
            let id = id
            node = host.nodes.node(
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
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await node.run() }
                group.addTask { await self.follow(node) }
                await group.waitForAll()
            }
            // The node reads its socket by the directory's descriptor.
            withExtendedLifetime(directory) {}
        } catch {
            logger.error("node not started", metadata: ["error": "\(error)"])
        }
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
                    return change.drafts(includingNetmap: netmapChanged, peers: report.peers)
                }
            )
        } catch {
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
    func noteNodeStopped() async {
        guard let network = record.status.network, network.state != .stopped else { return }
        let now = host.now
        do {
            adopt(
                try await host.database.updateVM(id, now: now) { record in
                    guard var network = record.status.network else { return [] }
                    let previous = network.state
                    network.enter(.stopped, now: now)
                    network.loginUrl = nil
                    network.loginUrlSince = nil
                    network.homeDerp = nil
                    network.peerCount = 0
                    record.status.network = network
                    return [.stateChanged(to: .stopped, from: previous)]
                }
            )
            changes.raise()
        } catch {
            logger.error("network state not written", metadata: ["error": "\(error)"])
        }
    }
}

/// The difference between what a VM showed of its network and what its node reports now: pure.
struct NetworkChange {
    /// What the VM showed before.
    let old: NetworkStatus?
    /// What the VM shows from now on.
    let status: NetworkStatus

    /// Compares the two at `now`.
    init(from old: NetworkStatus?, to report: NodeReport, now: Timestamp) {
        self.old = old
        var status = report.status
        status.since = old.map { $0.state == status.state ? $0.since : now } ?? now
        if status.loginUrl == nil {
            status.loginUrlSince = nil
        } else {
            status.loginUrlSince = old?.loginUrl == status.loginUrl ? old?.loginUrlSince ?? now : now
        }
        self.status = status
    }

    /// What happened, in the order it is told.
    func drafts(includingNetmap: Bool, peers: [PeerStatus]) -> [EventDraft] {
        var drafts: [EventDraft] = []
        let previous = old?.state ?? .noState
        if status.state != previous {
            drafts.append(.stateChanged(to: status.state, from: previous, reason: status.stateReason))
            if status.state == .running { drafts.append(EventDraft(.networkConnected)) }
            if previous == .running { drafts.append(EventDraft(.networkDisconnected, reason: status.stateReason)) }
            if status.state == .needsMachineAuth { drafts.append(EventDraft(.networkApprovalRequired)) }
        }
        if let url = status.loginUrl, url != old?.loginUrl {
            drafts.append(.loginRequired(loginURL: url))
        } else if old?.loginUrl != nil, status.loginUrl == nil, status.state == .running || status.state == .starting {
            drafts.append(EventDraft(.networkLoginCompleted))
        }
        if let code = status.stateReason?.code, code != old?.stateReason?.code {
            if code == "auth-key-rejected" {
                drafts.append(EventDraft(.networkAuthKeyRejected, reason: status.stateReason))
            }
            if code == "key-expired" { drafts.append(EventDraft(.networkKeyExpired)) }
        }
        if includingNetmap || (status.addresses != old?.addresses && !status.addresses.isEmpty) {
            drafts.append(.netmapChanged(addresses: status.addresses, peers: peers))
        }
        return drafts
    }
}

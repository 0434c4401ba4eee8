import Store
import Tailnet
import WarrenModel

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
            if code == "node-removed" { drafts.append(EventDraft(.networkRemoved, reason: status.stateReason)) }
        }
        if status.exitNode != old?.exitNode || status.internet != old?.internet ?? .blocked {
            drafts.append(
                .exitNodeChanged(
                    to: status.exitNode,
                    from: old?.exitNode,
                    internet: status.internet,
                    reason: status.internet == .blocked ? status.stateReason : nil
                )
            )
        }
        if includingNetmap || (status.addresses != old?.addresses && !status.addresses.isEmpty) {
            drafts.append(.netmapChanged(addresses: status.addresses, peers: peers))
        }
        return drafts
    }
}

/// Which end of which key the owner was told of, so that each warning is given once although daemons come and go.
struct KeyWarningMemory: Equatable {
    private let expiry: String
    private let days: Int64?

    /// What was told before.
    init(_ runtime: JSONTree) {
        expiry = runtime["keyWarning"]?["expiry"]?.string ?? ""
        days = runtime["keyWarning"]?["days"]?.integer
    }

    /// What is to be told now.
    init(_ report: NodeReport) {
        expiry = report.status.keyExpiry?.description ?? ""
        days = report.keyWarning.map { Int64($0.rawValue) }
    }

    /// The driver's memory with this in it.
    func merged(into runtime: JSONTree) -> JSONTree {
        guard let days else { return runtime }
        var members = runtime.object ?? [:]
        members["keyWarning"] = ["expiry": .string(expiry), "days": .integer(days)]
        return .object(members)
    }

    /// The event that is due, unless it or a later one was given for the same end.
    func drafts(after told: KeyWarningMemory) -> [EventDraft] {
        guard let days, told.expiry != expiry || (told.days ?? .max) > days else { return [] }
        return [EventDraft(.networkKeyExpiring, ["keyExpiry": .string(expiry), "days": .integer(days)])]
    }
}

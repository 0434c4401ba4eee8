/// What can happen, as the log and webhooks name it.
package enum EventType: String, Hashable, Sendable, Codable, CaseIterable {
    case created = "vm.created"
    case starting = "vm.starting"
    case running = "vm.running"
    case paused = "vm.paused"
    case resumed = "vm.resumed"
    case suspended = "vm.suspended"
    case stopping = "vm.stopping"
    case stopped = "vm.stopped"
    case crashed = "vm.crashed"
    case failed = "vm.failed"
    case restarted = "vm.restarted"
    case updated = "vm.updated"
    case deleted = "vm.deleted"
    case networkLoginRequired = "vm.network.login_required"
    case networkLoginCompleted = "vm.network.login_completed"
    case networkStateChanged = "vm.network.state_changed"
    case networkNetmapChanged = "vm.network.netmap_changed"
    case networkConnected = "vm.network.connected"
    case networkDisconnected = "vm.network.disconnected"
    case networkApprovalRequired = "vm.network.approval_required"
    case networkAuthKeyRejected = "vm.network.auth_key_rejected"
    case networkKeyExpiring = "vm.network.key_expiring"
    case networkKeyExpired = "vm.network.key_expired"
    case networkExitNodeChanged = "vm.network.exit_node_changed"
    case networkRemoved = "vm.network.removed"

    /// The callback of the VM that receives events of this type, or nil.
    package var callback: CallbackKind? { CallbackKind.allCases.first { $0.eventType == self } }

    /// Whether a newer delivery of this type to the same endpoint makes an older one pointless.
    package var supersedesOlder: Bool { callback != nil }
}

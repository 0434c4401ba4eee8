package import WarrenModel

/// What QEMU's monitor reports by itself (QEMU QMP reference, "Events").
package enum QMPEvent: Hashable, Sendable {
    /// QEMU is about to end; `reason` is its ShutdownCause, such as `guest-shutdown`.
    case shutdown(byGuest: Bool, reason: String)
    /// The machine was reset.
    case reset(byGuest: Bool, reason: String)
    /// The virtual CPUs stand still.
    case stop
    /// The virtual CPUs run again.
    case resume
    /// The power button was pressed by `system_powerdown`.
    case powerdown
    /// The guest's kernel panicked.
    case guestPanicked(action: String)
    /// Somebody connected to the NIC's socket.
    case netdevStreamConnected(netdev: String)
    /// The NIC's socket lost its client.
    case netdevStreamDisconnected(netdev: String)
    /// One that this version has no use for.
    case other(name: String)

    /// Reads a message of the monitor; nil when it is no event.
    package init?(_ message: JSONTree) {
        guard let name = message["event"]?.string else { return nil }
        let data = message["data"]
        let byGuest = data?["guest"]?.bool ?? false, reason = data?["reason"]?.string ?? ""
        let netdev = data?["netdev-id"]?.string ?? ""
        self =
            switch name {
            case "SHUTDOWN": .shutdown(byGuest: byGuest, reason: reason)
            case "RESET": .reset(byGuest: byGuest, reason: reason)
            case "STOP": .stop
            case "RESUME": .resume
            case "POWERDOWN": .powerdown
            case "GUEST_PANICKED": .guestPanicked(action: data?["action"]?.string ?? "")
            case "NETDEV_STREAM_CONNECTED": .netdevStreamConnected(netdev: netdev)
            case "NETDEV_STREAM_DISCONNECTED": .netdevStreamDisconnected(netdev: netdev)
            default: .other(name: name)
            }
    }
}

/// What the virtual machine inside QEMU is doing (QEMU's RunState).
package struct QMPRunState: RawRepresentable, Hashable, Sendable {
    /// QEMU's word.
    package let rawValue: String
    /// Takes any word; unknown ones survive.
    package init(rawValue: String) { self.rawValue = rawValue }

    /// The virtual CPUs run.
    package static let running = QMPRunState(rawValue: "running")
    /// Waiting for a saved state, or reading one.
    package static let incoming = QMPRunState(rawValue: "inmigrate")
    /// Stopped by the monitor.
    package static let paused = QMPRunState(rawValue: "paused")
    /// The guest's kernel panicked.
    package static let guestPanicked = QMPRunState(rawValue: "guest-panicked")
    /// The guest powered off.
    package static let shutdown = QMPRunState(rawValue: "shutdown")
}

/// Values we chose, with their reasons.
package enum QEMUDefaults {
    /// The machine that guests see: pinned, so that a newer QEMU changes nothing under a guest.
    package static let machine = "pc-i440fx-7.2"
    /// QEMU's prefix and "WRN": each NIC is a point-to-point link to its own node, so all may have the same address.
    package static let macAddress = "52:54:00:57:52:4e"
    /// What a tailnet carries.
    package static let mtu = 1280
    /// The port that stock qemu-ga looks for.
    package static let agentPort = "org.qemu.guest_agent.0"
    /// QEMU answered within 0.2 s on a quiet machine; a loaded one gets a hundred times that.
    package static let launchTimeout: Duration = .seconds(30)
    /// A monitor command is a function call inside QEMU.
    package static let monitorTimeout: Duration = .seconds(10)
    /// An agent's answer takes milliseconds, but its guest may be starved of CPU.
    package static let agentTimeout: Duration = .seconds(10)
    /// How often an agent that does not answer is asked again.
    package static let agentRetryInterval: Duration = .seconds(2)
    /// The longest line of a monitor: `query-qmp-schema` has 200 KiB.
    package static let maxMonitorLine = 1 << 20
    /// The longest line of an agent: two outputs of 1 MiB in base 64, and what stands around them.
    package static let maxAgentLine = 3 << 20
    /// The longest line of a shim: 4 KiB of last words, escaped.
    package static let maxShimLine = 64 << 10
    /// The state of all devices: under half a MiB measured, and more only if a guest has made it so.
    package static let maxDeviceState = 16 << 20
    /// How long the KVM probe may boot; a working one takes a tenth.
    package static let probeTimeout: Duration = .seconds(5)
}

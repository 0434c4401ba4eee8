package import WarrenModel

/// A VM as it is stored: what was asked for, how it is, and what the driver wants to remember.
package struct VMRecord: Equatable, Sendable {
    /// The identifier.
    package let id: VMID
    /// What was asked for, without secrets.
    package var spec: VMSpec
    /// How it is; the store counts `generation` and `stateGeneration` itself.
    package var status: VMStatus
    /// What the driver needs after a restart of the daemon and nobody else reads.
    package var runtime: JSONTree
    /// When it was made.
    package let createdAt: Timestamp
    /// When anything about it changed last.
    package internal(set) var updatedAt: Timestamp
    /// When its deletion was complete, or nil.
    package internal(set) var deletedAt: Timestamp?

    /// The VM as the API answers it.
    package var virtualMachine: VirtualMachine {
        VirtualMachine(id: id, spec: spec, status: status, createdAt: createdAt, updatedAt: updatedAt)
    }
}

extension VMStatus {
    /// The status without what raises no generation: counters, latencies, and the generations themselves.
    var significant: VMStatus {
        var copy = self
        copy.generation = 0
        copy.stateGeneration = 0
        copy.network?.peerCount = 0
        copy.network?.homeDerp?.latencyMs = nil
        return copy
    }
}

/// Which VMs a list holds.
package struct VMFilter: Equatable, Sendable {
    /// Only VMs in this state.
    package var state: VMState?
    /// Only VMs whose node is in this state.
    package var network: NetworkState?
    /// Only the VM of this name.
    package var name: String?
    /// Only VMs with these labels.
    package var labels: [String: String]

    /// Joins the parts; nil asks for all.
    package init(
        state: VMState? = nil,
        network: NetworkState? = nil,
        name: String? = nil,
        labels: [String: String] = [:]
    ) {
        self.state = state
        self.network = network
        self.name = name
        self.labels = labels
    }

    /// Whether a VM belongs into the list.
    package func matches(_ record: VMRecord) -> Bool {
        (state == nil || record.status.state == state)
            && (network == nil || record.status.network?.state == network)
            && (name == nil || record.spec.name.text == name)
            && labels.allSatisfy { record.spec.labels[$0.key] == $0.value }
    }
}

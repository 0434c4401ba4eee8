import FoundationEssentials
import Glibc
import Logging
import NIOCore
import NetTypes
import QEMU
import ServiceLifecycle
package import Store
import WarrenCrypto
package import WarrenModel

/// All VMs of this host: admits new ones, finds them by name or id, and keeps a driver for each.
package actor VMRegistry: Service {
    /// A VM that was just made or changed, and the webhook secrets that were made for it and are shown only now.
    package struct Created: Sendable {
        /// The VM.
        package let record: VMRecord
        /// The secrets of callbacks that came without one.
        package let madeSecrets: [CallbackKind: WebhookSecret]

        /// Joins the two.
        package init(record: VMRecord, madeSecrets: [CallbackKind: WebhookSecret]) {
            self.record = record
            self.madeSecrets = madeSecrets
        }
    }

    /// What its VMs share.
    package nonisolated let host: VMHost
    private var drivers: [VMID: VMDriver] = [:]
    private var tasks: [VMID: Task<Void, Never>] = [:]
    /// Memory promised to VMs whose creation or start is not written yet.
    private var promised: [VMID: Int] = [:]
    private var slots = SlotPool()
    private var isRunning = false
    private var isStopping = false

    /// A registry that drives nothing yet.
    package init(host: VMHost) {
        self.host = host
    }

    /// Takes up what an earlier daemon left, then drives all VMs until the task is cancelled or the service group shuts down.
    ///
    /// Guests are not stopped at the end: the next daemon finds them.
    package func run() async throws {
        try await recover()
        isRunning = true
        _ = await cancelWhenGracefulShutdown {
            // Nothing to do but to stay: the drivers have tasks of their own.
            _ = await LevelSignal().wait(above: .max)
        }
        isStopping = true
        for task in tasks.values { task.cancel() }
        for task in tasks.values { await task.value }
        tasks.removeAll()
        drivers.removeAll()
    }

    /// Whether the VMs of an earlier daemon are taken up, for `readyz`.
    package var isReady: Bool { isRunning && !isStopping }

    // MARK: - Create

    /// Records a VM and starts it when it asks for that; returns once that is written.
    ///
    /// - Throws: `VMError`.
    package func create(_ request: CreateVMRequest) async throws(VMError) -> Created {
        // What is made before the VMs of an earlier daemon are taken up would be taken up with them, or for an orphan.
        guard isReady else { throw .shuttingDown }
        var generator = SecureRandomNumberGenerator()
        let (spec, secrets) = request.resolved(defaults: host.limits.defaults, using: &generator)
        let faults = host.faults(of: spec)
        guard faults.isEmpty else { throw .invalidSpec(faults) }
        let id = VMID(now: host.now)
        try await admit(id, memoryMiB: spec.memoryMiB, starts: spec.autostart, isNew: true)
        defer { promised[id] = nil }
        let now = host.now
        let record: VMRecord
        do {
            record = try await host.database.createVM(
                id: id,
                spec: spec,
                secrets: secrets,
                status: VMStatus(
                    desiredState: spec.autostart ? .running : .stopped,
                    state: spec.autostart ? .creating : .stopped,
                    stateSince: now,
                    network: spec.networkInterface.map { _ in NetworkStatus(state: .stopped, since: now) }
                ),
                now: now
            )
        } catch { throw VMError(error) }
        let driver = add(record, recovering: false)
        var latest = record
        if spec.autostart {
            if case .success(let transition) = await driver.perform(.start) { latest = transition.record }
        }
        host.logger.info("VM created", metadata: ["vm-id": "\(id)", "name": "\(spec.name)"])
        let made = request.callbacksWithoutSecret.map { ($0, secrets.callbacks[$0]?.signingSecret) }
        return Created(
            record: latest,
            madeSecrets: Dictionary(made.compactMap { kind, secret in secret.map { (kind, $0) } }) { first, _ in first }
        )
    }

    /// Promises room before anything is awaited, so that two requests never share the last of it.
    private func admit(_ id: VMID, memoryMiB: Int, starts: Bool, isNew: Bool) async throws(VMError) {
        promised[id] = starts ? memoryMiB : 0
        let records: [VMRecord]
        do {
            records = try await host.database.vms()
        } catch {
            promised[id] = nil
            throw VMError(error)
        }
        let written = Set(records.map(\.id))
        let holders = records.filter { $0.id != id && $0.status.state.usesMemory }
        let holding = Set(holders.map(\.id))
        let used = holders.reduce(0) { $0 + $1.spec.memoryMiB }
        let waiting = promised.filter { !holding.contains($0.key) }.values.reduce(0, +)
        if isNew, records.count + promised.keys.filter({ !written.contains($0) }).count > host.limits.maxCount {
            promised[id] = nil
            throw .capacityExceeded(
                StateReason(
                    code: "vm-count",
                    message: "This host has \(host.limits.maxCount) VMs, its limit (vms.maxCount)."
                )
            )
        }
        if used + waiting > host.limits.maxMemoryMiB {
            promised[id] = nil
            throw .capacityExceeded(
                StateReason(
                    code: "vm-memory",
                    message: "The VMs of this host use its \(host.limits.maxMemoryMiB) MiB (vms.maxMemoryMiB)."
                )
            )
        }
    }

    private func add(_ record: VMRecord, recovering: Bool) -> VMDriver {
        let slot = slots.take(for: record.id)
        let driver = VMDriver(record: record, host: host, slot: slot)
        drivers[record.id] = driver
        tasks[record.id] = Task {
            await driver.run(recovering: recovering)
            self.driverEnded(record.id)
        }
        return driver
    }

    private func driverEnded(_ id: VMID) {
        guard !isStopping else { return }
        drivers[id] = nil
        tasks[id] = nil
        slots.give(back: id)
    }

    // MARK: - Find

    /// The VM with this id or, if it is not deleted, this name; a deleted one is found by id for a day.
    ///
    /// - Throws: `VMError.notFound`.
    package func vm(_ reference: String) async throws(VMError) -> VMRecord {
        do throws(StoreError) {
            if let id = VMID(reference) {
                if let record = try await host.database.vm(id) { return record }
            } else if let record = try await host.database.vm(named: reference) {
                return record
            }
        } catch { throw VMError(error) }
        throw .notFound(reference)
    }

    /// The VMs that are not deleted, oldest first.
    ///
    /// - Throws: `VMError.store`.
    package func list(_ filter: VMFilter, after: VMID?, limit: Int) async throws(VMError) -> [VMRecord] {
        do { return try await host.database.vms(matching: filter, after: after, limit: limit) } catch {
            throw VMError(error)
        }
    }

    private func driver(_ reference: String) async throws(VMError) -> VMDriver {
        let record = try await vm(reference)
        guard record.deletedAt == nil, let driver = drivers[record.id] else {
            throw isStopping || (!isRunning && record.deletedAt == nil) ? .shuttingDown : .notFound(reference)
        }
        return driver
    }

    // MARK: - Act

    /// Starts, stops, restarts or deletes; returns once that is written.
    ///
    /// `expecting` is a generation that the spec must have.
    ///
    /// - Throws: `VMError`.
    package func perform(
        _ request: LifecycleRequest,
        on reference: String,
        expecting generation: Int64? = nil
    ) async throws(VMError) -> VMDriver.Transition {
        let driver = try await driver(reference)
        let record = await driver.record
        if let generation, generation != record.status.generation { throw .changedMeanwhile }
        switch request {
        case .start, .restart:
            if !record.status.state.usesMemory {
                try await admit(record.id, memoryMiB: record.spec.memoryMiB, starts: true, isNew: false)
            }
        case .stop, .delete, .pause, .resume: break
        }
        defer { promised[record.id] = nil }
        return try await driver.perform(request).get()
    }

    /// Changes what a VM is to be; `generation` is one that its spec must have.
    ///
    /// - Throws: `VMError`.
    package func edit(
        _ patch: VMPatch,
        of reference: String,
        expecting generation: Int64? = nil
    ) async throws(VMError) -> Created {
        try await driver(reference).edit(patch, expecting: generation).get()
    }

    /// Has a VM's node log in afresh, by this auth key or by a person; a node that runs goes on meanwhile.
    ///
    /// - Throws: `VMError.noNetwork`, `.networkNotRunning`.
    package func logIn(_ request: NetworkLoginRequest, of reference: String) async throws(VMError) -> VMRecord {
        try await driver(reference).logIn(authKey: request.authKey).get()
    }

    /// Has a VM's node give up its key; the VM goes on.
    ///
    /// - Throws: `VMError.noNetwork`, `.networkNotRunning`.
    package func logOut(of reference: String) async throws(VMError) -> VMRecord {
        try await driver(reference).logOut().get()
    }

    /// Has a VM's node ask a peer for signs of life.
    ///
    /// - Throws: `VMError.noNetwork`, `.networkNotRunning`, `.peerNotFound`.
    package func ping(_ request: NetworkPingRequest, from reference: String) async throws(VMError) -> NetworkPingAnswer
    {
        try await driver(reference).ping(request)
    }

    /// Runs a program in a guest.
    ///
    /// - Throws: `VMError.noGuestAgent`, `.invalidTransition` when the guest does not run, `.hypervisorFailure`.
    package func exec(_ request: ExecRequest, in reference: String) async throws(VMError) -> ExecAnswer {
        let driver = try await driver(reference)
        return try await driver.exec(request)
    }

    /// The end of a VM's console log, at most `tail` octets.
    ///
    /// - Throws: `VMError.hypervisorFailure`.
    package func consoleLog(of reference: String, tail: Int) async throws(VMError) -> [UInt8] {
        let record = try await vm(reference)
        guard record.deletedAt == nil else { throw .notFound(reference) }
        do throws(QEMUError) {
            return try VMDirectory(path: host.vmsDirectory + "/" + record.id.description).consoleLog(tail: tail)
        } catch .directory(_, ENOENT) {
            return []
        } catch { throw .hypervisorFailure(error.reason.message) }
    }

    /// Everything about a VM's node.
    ///
    /// - Throws: `VMError.noNetwork` for a VM without one.
    package func network(of reference: String) async throws(VMError) -> NetworkDetail {
        let record = try await vm(reference)
        guard let status = record.status.network else { throw .noNetwork("\(record.spec.name)") }
        guard let node = await drivers[record.id]?.node else { return NetworkDetail(status: status) }
        var detail = await node.detail()
        detail.status = status
        return detail
    }

    /// Waits until a VM is as `condition` says, it is clear that it will not be, or the time is up.
    ///
    /// - Throws: `VMError.notFound` when there is no such VM to begin with.
    package func wait(
        for condition: VMCondition,
        of reference: String,
        timeout: Duration
    ) async throws(VMError) -> WaitAnswer {
        let first = try await vm(reference)
        guard let driver = drivers[first.id], first.deletedAt == nil else {
            return WaitAnswer(reached: false, vm: first.virtualMachine)
        }
        let clock = ContinuousClock()
        let deadline = clock.now + timeout
        while true {
            let level = driver.changes.level
            let (record, isAgentReady, isFinished) = await driver.standing
            if condition.holds(for: record, isAgentReady: isAgentReady) {
                return WaitAnswer(reached: true, vm: record.virtualMachine)
            }
            let isHopeless = isFinished || record.status.state == .failed || record.status.state == .deleting
            if isHopeless || clock.now >= deadline || Task.isCancelled || isStopping {
                return WaitAnswer(reached: false, vm: isFinished ? nil : record.virtualMachine)
            }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await driver.changes.wait(above: level) }
                group.addTask { try? await clock.sleep(until: deadline) }  // Cancelled when the change comes first.
                await group.next()
                group.cancelAll()
            }
        }
    }

    // MARK: - Recovery

    private func recover() async throws {
        // Without the folder no VM can start, and each says why.
        try? FileManager.default.createDirectory(
            atPath: host.vmsDirectory,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        let records = try await host.database.vms()
        let known = Set(records.map(\.id.description))
        for name in (try? FileManager.default.contentsOfDirectory(atPath: host.vmsDirectory)) ?? []
        where !known.contains(name) && VMID(name) != nil {
            await Orphan.remove(directory: host.vmsDirectory + "/" + name, group: host.group, logger: host.logger)
        }
        for record in records { slots.reserve(record.id, directory: host.vmsDirectory, first: Hypervisor.firstUID) }
        for record in records { _ = add(record, recovering: true) }
        if !records.isEmpty { host.logger.notice("VMs taken up", metadata: ["count": "\(records.count)"]) }
    }
}

extension VMDriver {
    /// What a waiting request looks at.
    var standing: (record: VMRecord, isAgentReady: Bool, isFinished: Bool) {
        // The agent of a copy answers before the state is written.
        (record, isAgentReady && record.status.state == .running, isFinished)
    }

    /// Runs a program in the guest.
    func exec(_ request: ExecRequest) async throws(VMError) -> ExecAnswer {
        guard record.status.state == .running, let guest else {
            throw .invalidTransition(from: record.status.state, request: "exec")
        }
        guard isAgentReady else { throw .noGuestAgent("\(record.spec.name)") }
        do {
            return try await guest.agent.exec(request)
        } catch QEMUError.unsupportedByAgent(let what) {
            throw .agentUnsupported(what)
        } catch let error as QEMUError {
            throw .hypervisorFailure(error.reason.message)
        } catch {
            throw .hypervisorFailure("The guest agent did not answer.")
        }
    }
}

extension VMState {
    /// Whether a VM in this state has its memory, or is about to.
    var usesMemory: Bool {
        switch self {
        case .creating, .starting, .running, .pausing, .paused, .resuming, .stopping, .suspending, .deleting: true
        case .stopped, .suspended, .failed: false
        }
    }
}

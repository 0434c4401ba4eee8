import Glibc
import Logging
import NIOCore
import NetTypes
import QEMU
package import Store
package import WarrenModel

/// Turns the requests and occurrences of one VM into actions, one after another.
///
/// Everything that changes the VM goes through one inbox that one task (`run`) empties; each change is one transaction of the
/// store with its events, and only then its actions are performed. What runs beside it (the guest, the node, timers) are tasks that
/// the driver owns and that report back into the inbox.
package actor VMDriver {
    /// Something in the inbox.
    enum Input {
        /// A user asks, and waits for the answer.
        case request(LifecycleRequest, CheckedContinuation<Result<Transition, VMError>, Never>)
        /// Something happened to the guest.
        case occurrence(LifecycleOccurrence)
        /// The VM is to be taken up as an earlier daemon left it.
        case recover
        /// A user asks for something that is no step of the lifecycle.
        case errand(VMErrand)
    }

    /// What a request did.
    package struct Transition: Sendable {
        /// The VM after it.
        package let record: VMRecord
        /// Whether anything changed.
        package let changed: Bool

        /// Joins the two.
        package init(record: VMRecord, changed: Bool) {
            self.record = record
            self.changed = changed
        }
    }

    /// The tasks of a driver, at most one of each.
    enum Chore: Hashable { case guest, agent, node, grace, launch, pause }

    /// Which VM it is.
    package nonisolated let id: VMID
    /// What it shares with the other VMs.
    let host: VMHost
    /// Logs under the VM's id.
    let logger: Logger
    /// The one loop that the VM's connections and packets stay on.
    let eventLoop: any EventLoop
    /// Which of the host's user ids QEMU gets.
    let slot: Int
    /// The VM as the last transaction left it.
    package internal(set) var record: VMRecord
    /// Raised with every change of the record, the agent's readiness or the node's report.
    let changes = LevelSignal()
    /// Whether the guest's agent has answered since the guest started.
    package internal(set) var isAgentReady = false

    /// What the next input means.
    var lifecycle: VMLifecycle
    /// The guest, while one runs.
    var guest: GuestSession?
    /// The tailnet side, while it takes part.
    var node: (any VMNode)?
    /// Whether the guest's NIC is to have a carrier.
    var isLinkWanted = false
    private var inbox: [Input] = []
    private var wake: CheckedContinuation<Void, Never>?
    private var chores: [Chore: Task<Void, Never>] = [:]
    /// Whether everything about the VM is gone.
    package private(set) var isFinished = false

    /// Whether nobody empties the inbox any more.
    private var hasEnded = false

    /// More waiting requests than this are refused: nobody needs them.
    private static let inboxLimit = 64

    /// A driver that does nothing before `run`.
    init(record: VMRecord, host: VMHost, slot: Int) {
        id = record.id
        self.record = record
        self.host = host
        self.slot = slot
        eventLoop = host.group.next()
        var logger = host.logger
        logger[metadataKey: "vm-id"] = "\(record.id)"
        self.logger = logger
        lifecycle = VMLifecycle(
            state: record.status.state,
            desired: record.status.desiredState,
            reason: record.status.stateReason,
            restart: record.spec.restart
        )
    }

    /// Drives the VM until it is deleted or the task is cancelled; the guest lives on in the second case.
    package func run(recovering: Bool) async {
        if recovering { inbox.insert(.recover, at: 0) }
        await withTaskCancellationHandler {
            while !Task.isCancelled, !isFinished {
                guard !inbox.isEmpty else {
                    await withCheckedContinuation { wake = $0 }
                    continue
                }
                await handle(inbox.removeFirst())
            }
        } onCancel: {
            Task { await self.wakeUp() }  // Ends with the one call; the loop above is its owner.
        }
        hasEnded = true
        let end = isFinished ? VMError.notFound("\(id)") : .shuttingDown
        for input in inbox {
            switch input {
            case .request(_, let reply): reply.resume(returning: .failure(end))
            case .errand(let errand): errand.refuse(end)
            case .occurrence, .recover: break
            }
        }
        inbox.removeAll()
        guest?.detach()
        for chore in chores.values { chore.cancel() }
        for chore in chores.values { await chore.value }
        chores.removeAll()
        changes.raise()
    }

    /// Asks for something; returns once the transaction with it is written.
    package func perform(_ request: LifecycleRequest) async -> Result<Transition, VMError> {
        if let refusal { return .failure(refusal) }
        return await withCheckedContinuation { reply in
            inbox.append(.request(request, reply))
            wakeUp()
        }
    }

    /// Does something in its turn.
    func errand<Value: Sendable>(
        _ body: @escaping @Sendable (isolated VMDriver) async -> Result<Value, VMError>
    ) async -> Result<Value, VMError> {
        if let refusal { return .failure(refusal) }
        return await withCheckedContinuation { (reply: CheckedContinuation<Result<Value, VMError>, Never>) in
            let errand = VMErrand(
                run: { driver in reply.resume(returning: await body(driver)) },
                refuse: { reply.resume(returning: .failure($0)) }
            )
            inbox.append(.errand(errand))
            wakeUp()
        }
    }

    /// Why nothing more can be asked for.
    private var refusal: VMError? {
        if isFinished { return .notFound("\(id)") }
        if hasEnded { return .shuttingDown }
        return inbox.count < Self.inboxLimit
            ? nil : .capacityExceeded(StateReason(code: "vm-busy", message: "Too many requests wait for this VM."))
    }

    /// Puts an occurrence into the inbox.
    func post(_ occurrence: LifecycleOccurrence) {
        inbox.append(.occurrence(occurrence))
        wakeUp()
    }

    private func wakeUp() {
        wake?.resume()
        wake = nil
    }

    private func handle(_ input: Input) async {
        if case .errand(let errand) = input { return await errand.run(self) }
        let before = lifecycle
        let actions: [LifecycleAction]
        var reply: CheckedContinuation<Result<Transition, VMError>, Never>?
        var changed = true
        switch input {
        case .occurrence(let occurrence):
            actions = lifecycle.handle(occurrence)
        case .recover:
            actions = recover()
        case .errand: return
        case .request(let request, let continuation):
            do throws(VMError) {
                let outcome = try lifecycle.handle(request)
                actions = outcome.actions
                changed = outcome.changed
                reply = continuation
            } catch {
                continuation.resume(returning: .failure(error))
                return
            }
        }
        do {
            if changed { try await write(actions) }
        } catch {
            // What is not written did not happen: a request is refused, an occurrence is tried again.
            lifecycle = before
            logger.error("state not written", metadata: ["error": "\(error)"])
            if let reply {
                reply.resume(returning: .failure(.store(error)))
            } else if (try? await ContinuousClock().sleep(for: .seconds(1))) != nil {
                inbox.insert(input, at: 0)
            }
            return
        }
        reply?.resume(returning: .success(Transition(record: record, changed: changed)))
        for action in actions { await perform(action) }
    }

    private func write(_ actions: [LifecycleAction]) async throws(StoreError) {
        let drafts = actions.compactMap { if case .record(let draft) = $0 { draft } else { nil } }
        let lifecycle = lifecycle
        let deadline = deadline(of: actions)
        let now = host.now
        guard
            drafts.count > 0 || lifecycle.state != record.status.state || lifecycle.reason != record.status.stateReason
                || lifecycle.desired != record.status.desiredState
        else { return }
        let written = try await host.database.updateVM(id, now: now) { record in
            if record.status.state != lifecycle.state { record.status.stateSince = now }
            record.status.state = lifecycle.state
            record.status.desiredState = lifecycle.desired
            record.status.stateReason = lifecycle.reason
            record.status.stateDeadline = lifecycle.state.isTransient ? deadline.map { now + $0 } : nil
            return drafts
        }
        adopt(written)
        logger.info(
            "state",
            metadata: ["state": "\(lifecycle.state.rawValue)", "reason": "\(lifecycle.reason?.code ?? "-")"]
        )
        changes.raise()
    }

    /// Takes over what a transaction left.
    ///
    /// Two that ran side by side may answer in any order; the later one must win, or a state would be forgotten until the next change.
    func adopt(_ written: VMRecord) {
        let status = written.status
        guard status.generation >= record.status.generation, status.stateGeneration >= record.status.stateGeneration
        else {
            return
        }
        record = written
    }

    /// By when a transient state ends, as far as its actions tell.
    private func deadline(of actions: [LifecycleAction]) -> Duration? {
        for action in actions {
            switch action {
            case .launchQEMU: return QEMUDefaults.launchTimeout
            case .launchLater(let pause): return pause + QEMUDefaults.launchTimeout
            case .powerDown(let grace): return grace + .seconds(1)
            case .pauseGuest, .resumeGuest: return QEMUDefaults.monitorTimeout
            case .killQEMU: return .seconds(5)
            default: continue
            }
        }
        return nil
    }

    private func recover() -> [LifecycleAction] {
        let path = directoryPath
        let directory = try? VMDirectory(path: path)
        let isAlive = directory?.isAlive ?? false
        let end: GuestEnd =
            if isAlive { .neverRan } else if let exit = directory?.exitReport {
                GuestEnd(exit)
            } else if directory?.owner != nil {
                GuestEnd(.unseen)
            } else { .neverRan }
        return lifecycle.recover(isAlive: isAlive, end: end, autostart: record.spec.autostart)
    }

    private func perform(_ action: LifecycleAction) async {
        switch action {
        case .record: break
        case .launchQEMU: begin(.guest) { await $0.runGuest(attaching: false) }
        case .attachQEMU: begin(.guest) { await $0.runGuest(attaching: true) }
        case .launchLater(let pause):
            begin(.launch) { driver in
                guard (try? await ContinuousClock().sleep(for: pause)) != nil else { return }
                await driver.post(.launchDue)
            }
        case .cancelLaunch: await end(.launch)
        case .powerDown(let grace):
            guard chores[.guest] != nil else { return post(.ended(.stoppedByUs, wasStable: false)) }
            begin(.grace) { driver in
                guard (try? await ContinuousClock().sleep(for: grace)) != nil else { return }
                await driver.post(.graceOver)
            }
            await guest?.powerDown(usesAgent: isAgentReady)
        case .pauseGuest, .resumeGuest: begin(.pause) { await $0.setPaused(action == .pauseGuest) }
        case .killQEMU:
            guard chores[.guest] != nil else { return post(.ended(.stoppedByUs, wasStable: false)) }
            guest?.kill()
        case .runNode:
            guard record.spec.networkInterface != nil, chores[.node] == nil else { return }
            begin(.node) { await $0.runNode() }
        case .stopNode: await stopNode()
        case .removeEverything: await removeEverything()
        }
    }

    private func begin(_ chore: Chore, _ body: @escaping @Sendable (VMDriver) async -> Void) {
        let earlier = chores[chore]
        earlier?.cancel()
        chores[chore] = Task {
            await earlier?.value
            await body(self)
        }
    }

    /// Begins to wait for the agent of a guest.
    func begin(agentOf session: GuestSession) { begin(.agent) { await $0.watchAgent(of: session) } }

    /// Ends a task and waits until it has.
    func end(_ chore: Chore) async {
        guard let task = chores.removeValue(forKey: chore) else { return }
        task.cancel()
        await task.value
    }

    /// Called by the guest's own task at its end, which therefore must not be awaited.
    func guestEnded() async {
        chores[.guest] = nil
        await end(.grace)
        await end(.agent)
        await end(.pause)
        isAgentReady = false
        guest = nil
    }

    private func stopNode() async {
        await end(.node)
        node = nil
        isLinkWanted = false
        await noteNodeStopped()
    }

    private func removeEverything() async {
        await end(.launch)
        await stopNode()
        if let failure = DirectoryRemoval.remove(directoryPath) {
            logger.warning("VM directory not removed", metadata: ["path": "\(failure)"])
        }
        do {
            adopt(try await host.database.finishDeletion(of: id, now: host.now))
            isFinished = true
            logger.info("deleted")
        } catch {
            logger.error("deletion not written; trying again", metadata: ["error": "\(error)"])
            begin(.launch) { driver in
                guard (try? await ContinuousClock().sleep(for: .seconds(2))) != nil else { return }
                await driver.post(.ended(.stoppedByUs, wasStable: false))
            }
        }
        changes.raise()
    }

    /// Where the VM's files are.
    nonisolated var directoryPath: String { host.vmsDirectory + "/" + id.description }
}

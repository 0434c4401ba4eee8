import Testing
import VirtualMachines
import WarrenModel

@Suite("VMLifecycle: (state, what happens) → (state, actions)")
struct VMLifecycleTests {
    static let crash = StateReason(code: "guest-panicked", message: "The guest panicked.")

    private func machine(
        _ state: VMState,
        desired: DesiredState = .running,
        policy: RestartPolicy = .standard
    ) -> VMLifecycle {
        VMLifecycle(state: state, desired: desired, restart: policy)
    }

    /// The actions without the events, which have a test of their own.
    private func deeds(_ actions: [LifecycleAction]) -> [LifecycleAction] {
        actions.filter { if case .record = $0 { false } else { true } }
    }

    private func events(_ actions: [LifecycleAction]) -> [EventType] {
        actions.compactMap { if case .record(let draft) = $0 { draft.type } else { nil } }
    }

    @Test(arguments: [
        (LifecycleRequest.start, VMState.stopped, VMState.starting, [LifecycleAction.runNode, .launchQEMU]),
        (.start, .failed, .starting, [.runNode, .launchQEMU]),
        (.start, .creating, .starting, [.runNode, .launchQEMU]),
        (.restart(grace: nil), .stopped, .starting, [.runNode, .launchQEMU]),
        (.stop(grace: .seconds(10)), .running, .stopping, [.cancelLaunch, .powerDown(grace: .seconds(10))]),
        (.stop(grace: nil), .running, .stopping, [.cancelLaunch, .killQEMU]),
        (.stop(grace: .seconds(1)), .starting, .stopping, [.cancelLaunch, .powerDown(grace: .seconds(1))]),
        (.stop(grace: nil), .stopping, .stopping, [.killQEMU]),
        (.stop(grace: nil), .failed, .stopped, []),
        (.restart(grace: .seconds(1)), .running, .stopping, [.cancelLaunch, .powerDown(grace: .seconds(1))]),
        (.delete(grace: nil), .running, .deleting, [.cancelLaunch, .killQEMU]),
        (.delete(grace: .seconds(3)), .starting, .deleting, [.cancelLaunch, .powerDown(grace: .seconds(3))]),
        (.delete(grace: nil), .stopped, .deleting, [.removeEverything]),
        (.delete(grace: nil), .failed, .deleting, [.removeEverything]),
        (.delete(grace: nil), .deleting, .deleting, [.killQEMU]),
        (.pause, .running, .pausing, [.pauseGuest]),
        (.resume, .paused, .resuming, [.resumeGuest]),
        (.stop(grace: nil), .paused, .stopping, [.cancelLaunch, .killQEMU]),
        (
            .stop(grace: .seconds(1)), .paused, .stopping,
            [.cancelLaunch, .resumeGuest, .powerDown(grace: .seconds(1))]
        ),
        (
            .delete(grace: .seconds(1)), .pausing, .deleting,
            [.cancelLaunch, .resumeGuest, .powerDown(grace: .seconds(1))]
        ),
    ])
    func `a request moves the state`(
        request: LifecycleRequest,
        from: VMState,
        to: VMState,
        expected: [LifecycleAction]
    ) throws {
        var lifecycle = machine(from)
        let outcome = try lifecycle.handle(request)
        #expect(outcome.changed)
        #expect(lifecycle.state == to)
        #expect(deeds(outcome.actions) == expected)
    }

    @Test(arguments: [
        (LifecycleRequest.start, VMState.running), (.start, .starting), (.stop(grace: nil), .stopped),
        (.stop(grace: .seconds(1)), .stopping), (.delete(grace: .seconds(1)), .deleting),
        (.pause, .paused), (.pause, .pausing), (.resume, .running), (.resume, .resuming),
    ])
    func `a request that changes nothing does nothing`(request: LifecycleRequest, state: VMState) throws {
        var lifecycle = machine(state)
        let outcome = try lifecycle.handle(request)
        #expect(!outcome.changed)
        #expect(outcome.actions.isEmpty)
        #expect(lifecycle.state == state)
    }

    @Test(arguments: [
        (LifecycleRequest.start, VMState.stopping), (.start, .deleting), (.stop(grace: nil), .deleting),
        (.restart(grace: nil), .deleting), (.restart(grace: nil), .stopping), (.start, .suspended),
        (.pause, .stopped), (.pause, .starting), (.resume, .stopped), (.resume, .pausing), (.start, .paused),
    ])
    func `a forbidden request names the state and itself`(request: LifecycleRequest, state: VMState) {
        var lifecycle = machine(state)
        #expect(throws: VMError.invalidTransition(from: state, request: request.name)) {
            try lifecycle.handle(request)
        }
        #expect(lifecycle.state == state)
    }

    @Test func `a stop that is obeyed ends stopped, one that is not is enforced`() throws {
        var lifecycle = machine(.running)
        _ = try lifecycle.handle(.stop(grace: .seconds(10)))
        #expect(lifecycle.handle(.graceOver) == [.killQEMU])
        let actions = lifecycle.handle(.ended(.stoppedByUs, wasStable: true))
        #expect(lifecycle.state == .stopped)
        #expect(lifecycle.desired == .stopped)
        #expect(deeds(actions) == [.stopNode])
        #expect(lifecycle.handle(.graceOver) == [])
    }

    @Test func `a pause ends paused, a resume running, and a guest that dies meanwhile crashed`() throws {
        var lifecycle = machine(.running)
        _ = try lifecycle.handle(.pause)
        #expect(lifecycle.desired == .paused)
        #expect(events(lifecycle.handle(.paused)) == [.paused])
        #expect(lifecycle.state == .paused)
        var dying = lifecycle
        #expect(events(dying.handle(.ended(.crashed(Self.crash), wasStable: true))).first == .crashed)
        _ = try lifecycle.handle(.resume)
        #expect(events(lifecycle.handle(.resumed)) == [.resumed])
        #expect(lifecycle.state == .running && lifecycle.desired == .running)
        #expect(lifecycle.handle(.paused) == [] && lifecycle.handle(.resumed) == [])
    }

    @Test func `a restart stops and starts`() throws {
        var lifecycle = machine(.running)
        _ = try lifecycle.handle(.restart(grace: .seconds(1)))
        let actions = lifecycle.handle(.ended(.poweredOff, wasStable: true))
        #expect(lifecycle.state == .starting)
        #expect(deeds(actions) == [.runNode, .launchQEMU])
        #expect(events(actions) == [.restarted, .starting])
    }

    @Test func `a crash is retried with growing pauses until the retries are used up`() {
        var lifecycle = machine(.running, policy: RestartPolicy(policy: .onFailure, maxRetries: 3))
        var pauses: [LifecycleAction] = []
        for _ in 0..<3 {
            let actions = lifecycle.handle(.ended(.crashed(Self.crash), wasStable: false))
            #expect(lifecycle.state == .starting)
            #expect(lifecycle.reason == Self.crash)
            #expect(events(actions) == [.crashed, .starting])
            pauses += deeds(actions)
            #expect(lifecycle.handle(.launchDue) == [.launchQEMU])
            _ = lifecycle.handle(.launched)
        }
        #expect(pauses == [.launchLater(.seconds(1)), .launchLater(.seconds(2)), .launchLater(.seconds(4))])
        let last = lifecycle.handle(.ended(.crashed(Self.crash), wasStable: false))
        #expect(lifecycle.state == .failed)
        #expect(events(last) == [.crashed, .failed])
    }

    @Test func `a guest that ran long enough starts with a clean record`() {
        var lifecycle = machine(.running, policy: RestartPolicy(policy: .onFailure, maxRetries: 1))
        _ = lifecycle.handle(.ended(.crashed(Self.crash), wasStable: false))
        _ = lifecycle.handle(.launched)
        _ = lifecycle.handle(.ended(.crashed(Self.crash), wasStable: true))
        #expect(lifecycle.state == .starting)
        #expect(lifecycle.failureCount == 1)
    }

    @Test(arguments: [
        (RestartPolicy.Kind.never, GuestEnd.poweredOff, VMState.stopped),
        (.onFailure, .poweredOff, .stopped), (.always, .poweredOff, .starting),
        (.never, .crashed(crash), .failed), (.onFailure, .crashed(crash), .starting),
        (.never, .rebooted, .starting),
    ])
    func `the restart policy decides what follows an end`(
        policy: RestartPolicy.Kind,
        end: GuestEnd,
        next: VMState
    ) {
        var lifecycle = machine(.running, policy: RestartPolicy(policy: policy, maxRetries: 5))
        _ = lifecycle.handle(.ended(end, wasStable: false))
        #expect(lifecycle.state == next)
        if end == .rebooted { #expect(lifecycle.failureCount == 0) }
    }

    @Test func `what cannot be launched fails at once and keeps its reason`() {
        var lifecycle = machine(.starting)
        let reason = StateReason(code: "image-unreadable", message: "No such image.")
        let actions = lifecycle.handle(.launchFailed(reason))
        #expect(lifecycle.state == .failed)
        #expect(lifecycle.reason == reason)
        #expect(deeds(actions) == [.stopNode])
    }

    @Test func `deleting while starting removes everything once QEMU is gone`() throws {
        var lifecycle = machine(.starting)
        _ = try lifecycle.handle(.delete(grace: .seconds(5)))
        #expect(lifecycle.handle(.launched) == [.killQEMU])
        #expect(lifecycle.handle(.ended(.stoppedByUs, wasStable: false)) == [.removeEverything])
    }

    @Test(arguments: [
        (VMState.running, true, VMState.running, [LifecycleAction.attachQEMU, .runNode]),
        (.starting, true, .starting, [.attachQEMU, .runNode]),
        (.stopping, true, .stopping, [.attachQEMU, .killQEMU]),
        (.stopped, true, .stopped, [.attachQEMU, .killQEMU]),
        (.deleting, false, .deleting, [.removeEverything]),
        (.stopped, false, .stopped, []), (.failed, false, .failed, []),
    ])
    func `a restarted daemon takes up what it finds`(
        stored: VMState,
        isAlive: Bool,
        next: VMState,
        expected: [LifecycleAction]
    ) {
        var lifecycle = machine(stored, desired: stored == .stopped ? .stopped : .running)
        let actions = lifecycle.recover(isAlive: isAlive, end: .neverRan, autostart: true)
        #expect(lifecycle.state == next)
        #expect(deeds(actions) == expected)
    }

    @Test func `a guest found dead is reported and started again where its user wants that`() {
        var lifecycle = machine(.running)
        let actions = lifecycle.recover(isAlive: false, end: .crashed(Self.crash), autostart: true)
        #expect(lifecycle.state == .starting)
        #expect(events(actions) == [.crashed, .starting])
        #expect(deeds(actions) == [.launchLater(.seconds(1)), .runNode])
        var manual = machine(.running)
        let quiet = manual.recover(isAlive: false, end: .crashed(Self.crash), autostart: false)
        #expect(manual.state == .stopped)
        #expect(events(quiet) == [.crashed, .stopped])
    }

    @Test(arguments: [
        (RestartPolicy.Kind.onFailure, GuestEnd.poweredOff, VMState.stopped), (.never, .crashed(crash), .failed),
        (.onFailure, .stoppedByUs, .stopped),
    ])
    func `a guest that ended for good while no daemon ran gets no node`(
        policy: RestartPolicy.Kind,
        end: GuestEnd,
        next: VMState
    ) {
        var lifecycle = machine(.running, policy: RestartPolicy(policy: policy, maxRetries: 5))
        let actions = lifecycle.recover(isAlive: false, end: end, autostart: true)
        #expect(lifecycle.state == next)
        #expect(deeds(actions) == [.stopNode])
    }
}

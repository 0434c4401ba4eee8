package import WarrenModel

/// What a VM's state means for each request and each thing that happens: pure, no clock, no I/O.
///
/// ```
/// creating ─▶ starting ─▶ running ─▶ stopping ─▶ stopped ─▶ starting …
///                │  ▲         │ ▲                  ▲
///                │  │   pause │ │ resume           │
///                │  │         ▼ │                  │
///                │  │        paused                │
///                ▼  └─────────┴─ crash, reboot     │ failed ─▶ starting …
///              failed ◀── retries used up          any ─▶ deleting ─▶ gone
/// ```
/// Every method changes the value and returns what is to be done about it, in order.
package struct VMLifecycle: Hashable, Sendable {
    /// What the VM is doing.
    package private(set) var state: VMState
    /// What its user wants.
    package private(set) var desired: DesiredState
    /// Why the state is as it is, when that is not obvious.
    package private(set) var reason: StateReason?
    /// How often in a row the guest ended in failure.
    package private(set) var failureCount: Int
    /// What happens when the guest ends unasked.
    package internal(set) var restart: RestartPolicy
    /// Whether the stop under way is the first half of a restart.
    private var restartsAfterStop = false

    /// A VM as it is stored.
    package init(
        state: VMState,
        desired: DesiredState,
        reason: StateReason? = nil,
        failureCount: Int = 0,
        restart: RestartPolicy
    ) {
        self.state = state
        self.desired = desired
        self.reason = reason
        self.failureCount = failureCount
        self.restart = restart
    }

    /// What a request changed: nothing (answered 200), or something (answered 202).
    package struct Outcome: Hashable, Sendable {
        /// Whether anything is different now.
        package let changed: Bool
        /// What is to be done, in order.
        package let actions: [LifecycleAction]

        /// Nothing to do: 200.
        static let unchanged = Outcome(changed: false, actions: [])
    }

    /// Takes a user's request.
    ///
    /// - Throws: `VMError.invalidTransition` when the state forbids it.
    package mutating func handle(_ request: LifecycleRequest) throws(VMError) -> Outcome {
        switch (request, state) {
        case (_, .deleting):
            guard case .delete(let grace) = request else { throw invalid(request) }
            return grace == nil ? Outcome(changed: true, actions: [.killQEMU]) : .unchanged
        case (.start, .starting), (.start, .running), (.stop, .stopped): return .unchanged
        case (.start, .creating), (.start, .stopped), (.start, .failed),
            (.restart, .creating), (.restart, .stopped), (.restart, .failed):
            return begin()
        case (.stop(let grace), .creating), (.stop(let grace), .starting), (.stop(let grace), .running),
            (.stop(let grace), .pausing), (.stop(let grace), .paused), (.stop(let grace), .resuming):
            return end(as: .stopping, desired: .stopped, grace: grace)
        case (.stop, .failed):
            desired = .stopped
            return Outcome(changed: true, actions: enter(.stopped))
        case (.stop(let grace), .stopping):
            restartsAfterStop = false
            desired = .stopped
            return grace == nil ? Outcome(changed: true, actions: [.killQEMU]) : .unchanged
        case (.restart(let grace), .starting), (.restart(let grace), .running), (.restart(let grace), .pausing),
            (.restart(let grace), .paused), (.restart(let grace), .resuming):
            let outcome = end(as: .stopping, desired: .running, grace: grace)
            restartsAfterStop = true
            return outcome
        case (.pause, .pausing), (.pause, .paused), (.resume, .resuming), (.resume, .running): return .unchanged
        case (.pause, .running):
            desired = .paused
            return Outcome(changed: true, actions: enter(.pausing) + [.pauseGuest])
        case (.resume, .paused):
            desired = .running
            return Outcome(changed: true, actions: enter(.resuming) + [.resumeGuest])
        case (.delete, .stopped), (.delete, .failed):
            desired = .deleted
            return Outcome(changed: true, actions: enter(.deleting) + [.removeEverything])
        case (.delete(let grace), _):
            return end(as: .deleting, desired: .deleted, grace: grace)
        case (.start, _), (.stop, _), (.restart, _), (.pause, _), (.resume, _):
            throw invalid(request)
        }
    }

    /// Takes what happened to the guest.
    package mutating func handle(_ occurrence: LifecycleOccurrence) -> [LifecycleAction] {
        switch occurrence {
        case .launched:
            switch state {
            case .starting: return enter(.running)
            // A guest found alive that should not be.
            case .stopping, .deleting, .stopped, .failed: return [.killQEMU]
            default: return []
            }
        case .rebooted:
            guard state == .running else { return [] }
            return [.record(EventDraft(.restarted, reason: Self.guestRebooted))]
        case .paused: return state == .pausing ? enter(.paused) : []
        case .resumed:
            guard state == .resuming else { return [] }
            state = .running
            reason = nil
            return [.record(EventDraft(.resumed, reason: nil))]
        case .launchFailed(let reason):
            switch state {
            case .starting: return enter(.failed, reason) + [.stopNode]
            default: return ended(.crashed(reason), wasStable: false)
            }
        case .ended(let end, let wasStable): return ended(end, wasStable: wasStable)
        case .graceOver:
            return state == .stopping || state == .deleting ? [.killQEMU] : []
        case .launchDue:
            return state == .starting ? [.launchQEMU] : []
        }
    }

    /// Takes up a VM after the daemon itself was away; `isAlive` is what its shim's lock says.
    package mutating func recover(isAlive: Bool, end: GuestEnd, autostart: Bool) -> [LifecycleAction] {
        switch (state, isAlive) {
        case (.running, true), (.paused, true): return [.attachQEMU, .runNode]
        // What was begun is begun again once the guest is taken up.
        case (.pausing, true): return [.attachQEMU, .runNode, .pauseGuest]
        case (.resuming, true): return [.attachQEMU, .runNode, .resumeGuest]
        case (.starting, true), (.creating, true):
            state = .starting
            return [.attachQEMU, .runNode]
        case (.stopping, true), (.deleting, true): return [.attachQEMU, .killQEMU]
        case (.stopped, true), (.failed, true): return [.attachQEMU, .killQEMU]
        case (.deleting, false): return [.removeEverything]
        case (.stopping, false):
            return restartsAfterStop || desired == .running ? begin().actions : enter(.stopped)
        case (.running, false), (.starting, false), (.pausing, false), (.paused, false), (.resuming, false):
            guard autostart else {
                guard case .crashed(let reason) = end else { return enter(.stopped) }
                return [.record(EventDraft(.crashed, reason: reason))] + enter(.stopped, reason)
            }
            if state == .starting, end == .neverRan { return [.runNode, .launchQEMU] }
            let actions = ended(end, wasStable: true)
            // A guest that does not start again needs no node.
            return state == .starting ? actions + [.runNode] : actions
        case (.creating, false): return desired == .running ? begin().actions : enter(.stopped)
        case (.stopped, false), (.failed, false), (.suspended, _), (.suspending, _): return []
        }
    }

    private mutating func begin() -> Outcome {
        desired = .running
        failureCount = 0
        restartsAfterStop = false
        return Outcome(changed: true, actions: enter(.starting) + [.runNode, .launchQEMU])
    }

    /// Ends the guest; one that stands still runs again first, or it could not power itself off.
    private mutating func end(as state: VMState, desired: DesiredState, grace: Duration?) -> Outcome {
        self.desired = desired
        restartsAfterStop = false
        let standsStill = [.pausing, .paused, .resuming].contains(self.state)
        let wake: [LifecycleAction] = standsStill ? [.resumeGuest] : []
        let stop: [LifecycleAction] = grace.map { wake + [.powerDown(grace: $0)] } ?? [.killQEMU]
        return Outcome(changed: true, actions: enter(state) + [.cancelLaunch] + stop)
    }

    private mutating func ended(_ end: GuestEnd, wasStable: Bool) -> [LifecycleAction] {
        switch state {
        case .deleting: return [.removeEverything]
        case .stopping:
            if restartsAfterStop {
                let restarted = LifecycleAction.record(EventDraft(.restarted, reason: nil))
                return [restarted] + begin().actions
            }
            return enter(.stopped) + [.stopNode]
        case .starting, .running, .pausing, .paused, .resuming: break
        default: return []
        }
        if wasStable { failureCount = 0 }
        switch end {
        case .neverRan, .stoppedByUs:
            return enter(.stopped) + [.stopNode]
        case .poweredOff:
            guard restart.policy == .always else {
                desired = .stopped
                return enter(.stopped, Self.guestPoweredOff) + [.stopNode]
            }
            return enter(.starting, Self.guestPoweredOff) + [.launchLater(RestartBackoff.delay(afterFailures: 1))]
        case .rebooted:
            let restarted = LifecycleAction.record(EventDraft(.restarted, reason: Self.guestRebooted))
            return [restarted] + enter(.starting, Self.guestRebooted) + [.launchQEMU]
        case .crashed(let reason):
            failureCount += 1
            let crashed = LifecycleAction.record(EventDraft(.crashed, reason: reason))
            guard restart.policy != .never, failureCount <= restart.maxRetries else {
                return [crashed] + enter(.failed, reason) + [.stopNode]
            }
            return [crashed] + enter(.starting, reason)
                + [.launchLater(RestartBackoff.delay(afterFailures: failureCount))]
        }
    }

    private mutating func enter(_ next: VMState, _ reason: StateReason? = nil) -> [LifecycleAction] {
        state = next
        self.reason = reason
        let type: EventType? =
            switch next {
            case .starting: .starting
            case .running: .running
            case .stopping: .stopping
            case .stopped: .stopped
            case .failed: .failed
            case .paused: .paused
            case .creating, .deleting, .pausing, .resuming, .suspended, .suspending: nil
            }
        return type.map { [.record(EventDraft($0, reason: reason))] } ?? []
    }

    private func invalid(_ request: LifecycleRequest) -> VMError {
        .invalidTransition(from: state, request: request.name)
    }

    private static let guestPoweredOff = StateReason(
        code: "guest-powered-off",
        message: "The guest powered itself off."
    )
    private static let guestRebooted = StateReason(code: "guest-rebooted", message: "The guest rebooted.")
}

/// What a user asks of a VM; a nil `grace` means power off at once.
package enum LifecycleRequest: Hashable, Sendable {
    /// Start it, unless it runs.
    case start
    /// Stop it, and keep it.
    case stop(grace: Duration?)
    /// Stop it and start it again.
    case restart(grace: Duration?)
    /// Stop its processors, and keep its memory.
    case pause
    /// Let its processors run again.
    case resume
    /// Stop it and remove everything.
    case delete(grace: Duration?)

    /// The request's name in the API.
    package var name: String {
        switch self {
        case .start: "start"
        case .stop: "stop"
        case .restart: "restart"
        case .pause: "pause"
        case .resume: "resume"
        case .delete: "delete"
        }
    }
}

/// What happens to a VM.
package enum LifecycleOccurrence: Hashable, Sendable {
    /// QEMU runs the guest and its monitor answers.
    case launched
    /// The guest's processors stand still.
    case paused
    /// The guest's processors run again.
    case resumed
    /// QEMU could not be started.
    case launchFailed(StateReason)
    /// The guest reset itself inside its QEMU.
    case rebooted
    /// QEMU is gone; `wasStable` says that the guest had run long enough for earlier failures not to count.
    case ended(GuestEnd, wasStable: Bool)
    /// The time for a graceful stop is over.
    case graceOver
    /// The time of `launchLater` has come.
    case launchDue
}

/// How a guest ended.
package enum GuestEnd: Hashable, Sendable {
    /// There was no QEMU.
    case neverRan
    /// The guest powered itself off.
    case poweredOff
    /// The guest rebooted and QEMU left with it.
    case rebooted
    /// QEMU was killed because the daemon asked for it.
    case stoppedByUs
    /// The guest panicked or QEMU died.
    case crashed(StateReason)
}

/// What is to be done about a VM.
package enum LifecycleAction: Hashable, Sendable {
    /// Start the shim and its QEMU.
    case launchQEMU
    /// The same after a while; `cancelLaunch` undoes it.
    case launchLater(Duration)
    /// Do not launch any more.
    case cancelLaunch
    /// Take up a QEMU that runs already.
    case attachQEMU
    /// Ask the guest to power off, and report `graceOver` after `grace`.
    case powerDown(grace: Duration)
    /// Stop the guest's processors; reports `paused`.
    case pauseGuest
    /// Let the guest's processors run again; reports `resumed`.
    case resumeGuest
    /// End QEMU at once; reports `ended`, also when there is none.
    case killQEMU
    /// Join the tailnet.
    case runNode
    /// Leave the tailnet's data plane, but not the tailnet.
    case stopNode
    /// Remove disks and files, and give the node back.
    case removeEverything
    /// Write an event with the state change.
    case record(EventDraft)
}

/// How long to wait before the next start of a VM that ended in failure.
package enum RestartBackoff {
    /// 1, 2, 4 … 60 seconds: a second is long enough for a host in trouble to breathe, a minute short enough for a person.
    package static func delay(afterFailures count: Int) -> Duration {
        .seconds(min(60, 1 << min(max(count - 1, 0), 6)))
    }

    /// How long a guest must have run for earlier failures not to count.
    package static let stableAfter: Duration = .seconds(60)
}

import Logging
import NetTypes
import QEMU
import Store
import WarrenCrypto
import WarrenModel

/// One run of a guest: its QEMU, the monitor and the agent.
final class GuestSession: Sendable {
    /// The QEMU behind its shim.
    let process: QEMUProcess
    /// Its monitor.
    let monitor: QMPClient
    /// The agent inside the guest.
    let agent: GuestAgentClient

    /// Joins the three.
    init(process: QEMUProcess, monitor: QMPClient, agent: GuestAgentClient) {
        self.process = process
        self.monitor = monitor
        self.agent = agent
    }

    /// Ends QEMU at once.
    func kill() { process.kill() }

    /// Lets go of everything; the guest goes on.
    func detach() { process.detach() }

    /// Asks the guest to power itself off, by its agent where that answers and by the power button.
    func powerDown(usesAgent: Bool) async {
        // A guest that does not hear is killed when its grace is over.
        if usesAgent, (try? await agent.shutdown(.powerdown, timeout: .seconds(2))) != nil { return }
        try? await monitor.systemPowerdown()
    }

    /// Lets go of everything when the guest has ended.
    func close() async {
        await monitor.close()
        await agent.close()
        process.detach()
    }
}

extension VMDriver {
    /// Starts or takes up QEMU, and stays with it to its end.
    func runGuest(attaching: Bool) async {
        let started = ContinuousClock.now
        let session: GuestSession
        do {
            let directory = try VMDirectory.create(path: directoryPath)
            if attaching {
                guard let found = try await QEMUProcess.attach(to: directory, group: eventLoop) else {
                    return await leave(GuestEnd(directory.exitReport ?? .unseen), after: .zero)
                }
                if directory.isNameless {
                    // The daemon ended while this copy was told who it is: it has not run anything of its user's yet.
                    found.kill()
                    _ = await found.exit()
                    session = try await startGuest(in: directory)
                } else {
                    session = try await openSession(found)
                }
            } else {
                session = try await startGuest(in: directory)
            }
        } catch let error as GuestUnresponsive {
            guard !Task.isCancelled else { return }
            return await leave(GuestEnd(error.exit), after: .zero)
        } catch {
            guard !Task.isCancelled else { return }
            let reason = Self.reason(of: error)
            logger.warning("guest not started", metadata: ["reason": "\(reason.message)"])
            await guestEnded()
            post(.launchFailed(reason))
            return
        }
        // What begins from here on nobody would end any more.
        guard !Task.isCancelled else { return await session.close() }
        guest = session
        // A guest that was up already keeps its link as it is until the node says otherwise.
        if isLinkWanted { await setLink(up: true) } else if !attaching { await setLink(up: false) }
        post(.launched)
        begin(agentOf: session)
        let exit = await session.process.exit()
        await session.close()
        guard !Task.isCancelled else { return }
        logger.info("guest ended", metadata: ["summary": "\(exit.summary)"])
        await leave(GuestEnd(exit, cameUp: isAgentReady), after: ContinuousClock.now - started)
    }

    /// Starts a guest; one that is a copy of a saved guest knows who it is when this returns.
    private func startGuest(in directory: VMDirectory) async throws -> GuestSession {
        let image = try host.images.image(named: record.spec.image)
        try await host.images.verify(image)
        guard record.spec.memoryMiB >= image.manifest.minimumMemoryMiB else {
            throw VMError.hypervisorFailure(
                "Image \(image.name) needs \(image.manifest.minimumMemoryMiB) MiB of memory."
            )
        }
        try await host.hypervisor.starts.enter()
        defer { host.hypervisor.starts.leave() }
        func launch(usingTemplates: Bool) async throws -> Hypervisor.LaunchedGuest {
            try await host.hypervisor.launch(
                record.spec,
                image: image,
                directory: directory,
                slot: slot,
                usesTemplates: usingTemplates
            )
        }
        let launched = try await launch(usingTemplates: true)
        await note(launched.accelerator)
        if let reason = launched.coldBootReason { await tellOfColdBoot(because: reason) }
        let session = try await openSession(launched.process)
        guard let template = launched.template else { return session }
        do {
            try await session.monitor.restoreState()
            try await session.agent.reidentify(newIdentity())
            try directory.setNameless(false)
            return session
        } catch {
            try Task.checkCancellation()
            let reason = TemplateError(error).message
            session.kill()
            _ = await session.process.exit()
            await session.close()
            await host.hypervisor.reject(template, because: reason)
            await tellOfColdBoot(because: reason)
            return try await openSession(try await launch(usingTemplates: false).process)
        }
    }

    private func newIdentity() -> GuestIdentity {
        GuestIdentity(
            seed: RandomBytes.make(count: 64),
            machineID: HexText.text(RandomBytes.make(count: 16)),
            hostname: record.spec.networkInterface?.hostname.text ?? record.spec.name.text
        )
    }

    /// Writes down that this start takes longer than usual.
    private func tellOfColdBoot(because reason: String) async {
        let draft = EventDraft(.starting, reason: StateReason(code: "template-unusable", message: reason))
        do {
            adopt(try await host.database.updateVM(id, now: host.now) { _ in [draft] })
        } catch {
            logger.warning("event not written", metadata: ["error": "\(error)"])
        }
    }

    private func openSession(_ process: QEMUProcess) async throws -> GuestSession {
        let monitor: QMPClient
        do {
            monitor = try await QMPClient.connect(to: process.directory, group: eventLoop) { [weak self] event in
                guard case .reset(byGuest: true, _) = event, let self else { return }
                Task { await self.post(.rebooted) }  // Ends with the one call; the driver's inbox is its owner.
            }
        } catch {
            guard !Task.isCancelled else { throw error }
            logger.warning("monitor does not answer; ending QEMU", metadata: ["error": "\(error)"])
            process.kill()
            throw GuestUnresponsive(exit: await process.exit())
        }
        return GuestSession(
            process: process,
            monitor: monitor,
            agent: GuestAgentClient(directory: process.directory, group: eventLoop)
        )
    }

    private func leave(_ end: GuestEnd, after duration: Duration) async {
        await guestEnded()
        post(.ended(end, wasStable: duration >= RestartBackoff.stableAfter))
    }

    /// Waits for the guest's agent, however long its guest takes to boot.
    func watchAgent(of session: GuestSession) async {
        while !Task.isCancelled {
            if (try? await session.agent.waitUntilReady(timeout: .seconds(60))) != nil {
                isAgentReady = true
                changes.raise()
                return
            }
            guard (try? await ContinuousClock().sleep(for: .milliseconds(200))) != nil else { return }
        }
    }

    /// Stops the guest's processors, or lets them run again, as soon as its monitor is there.
    func setPaused(_ isPaused: Bool) async {
        while !Task.isCancelled {
            if let guest {
                do {
                    if isPaused { try await guest.monitor.stop() } else { try await guest.monitor.cont() }
                    post(isPaused ? .paused : .resumed)
                    // Its clock stood still as well; without an agent the guest has to find out by itself.
                    if !isPaused, isAgentReady { try? await guest.agent.setTime() }
                    return
                } catch {
                    logger.warning("guest not paused or resumed", metadata: ["error": "\(error)"])
                }
            }
            // The guest's own task opens the monitor, or ends this one.
            guard (try? await ContinuousClock().sleep(for: .milliseconds(50))) != nil else { return }
        }
    }

    /// Raises or drops the carrier of the guest's NIC.
    func setLink(up: Bool) async {
        guard record.spec.networkInterface != nil, let guest else { return }
        do {
            try await guest.monitor.setLink(up: up)
        } catch {
            logger.warning("link not set", metadata: ["up": "\(up)", "error": "\(error)"])
        }
    }

    private func note(_ accelerator: Accelerator) async {
        guard record.status.accelerator != accelerator else { return }
        do {
            adopt(
                try await host.database.updateVM(id, now: host.now) { record in
                    record.status.accelerator = accelerator
                    return []
                }
            )
            changes.raise()
        } catch {
            logger.warning("accelerator not recorded", metadata: ["error": "\(error)"])
        }
    }

    private static func reason(of error: any Error) -> StateReason {
        switch error {
        case let error as QEMUError: error.reason
        case let error as ImageError: error.reason
        case VMError.hypervisorFailure(let message): StateReason(code: "launch-failed", message: message)
        default: StateReason(code: "launch-failed", message: "The guest could not be started.")
        }
    }
}

/// QEMU came up but its monitor did not answer; it was ended.
private struct GuestUnresponsive: Error {
    let exit: VMExit
}

extension GuestEnd {
    /// A guest that resets sooner, before its agent ever answered, has not booted: its kernel panicked too early to say so.
    private static let shortestBoot: Duration = .seconds(10)

    /// What an end of QEMU means for its VM; `cameUp` says that the guest's agent had answered.
    init(_ exit: VMExit, cameUp: Bool = false) {
        self =
            switch exit.cause {
            case .guestPoweredOff: .poweredOff
            case .guestReset where !cameUp && exit.duration < Self.shortestBoot:
                .crashed(
                    StateReason(
                        code: "guest-boot-failed",
                        message: "The guest reset the machine before it came up; its console log may say why."
                    )
                )
            case .guestReset: .rebooted
            case .requested:
                exit.requested == nil ? .crashed(StateReason(code: "qemu-ended", message: exit.summary)) : .stoppedByUs
            case .guestPanicked: .crashed(StateReason(code: "guest-panicked", message: exit.summary))
            case .failed: .crashed(StateReason(code: "qemu-failed", message: exit.summary))
            case .unseen: .crashed(StateReason(code: "qemu-gone", message: exit.summary))
            }
    }
}

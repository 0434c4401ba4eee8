import Glibc
package import Logging
package import NIOCore
package import QEMU
package import WarrenModel

/// Starts and takes up QEMU processes by the configuration of this host.
package actor Hypervisor {
    /// What the configuration says.
    package struct Configuration: Hashable, Sendable {
        /// QEMU, a name or a path.
        package var qemu: String
        /// `warren-shim`, as an absolute path.
        package var shim: String
        /// `auto`, `tcg` or `kvm`.
        package var accelerator: AcceleratorProbe.Setting
        /// How much of a console is kept.
        package var consoleLogKiB: Int
        /// The first of the user ids that guests' QEMUs get when the daemon is root.
        package var firstUID: UInt32

        /// Joins the parts.
        package init(
            qemu: String,
            shim: String,
            accelerator: AcceleratorProbe.Setting,
            consoleLogKiB: Int,
            firstUID: UInt32 = Hypervisor.firstUID
        ) {
            self.qemu = qemu
            self.shim = shim
            self.accelerator = accelerator
            self.consoleLogKiB = consoleLogKiB
            self.firstUID = firstUID
        }
    }

    /// Above what adduser gives to people and below what systemd and containers take for themselves.
    package static let firstUID: UInt32 = 61_184

    private let configuration: Configuration
    private let probe: AcceleratorProbe
    private let group: any EventLoopGroup
    private let templates: TemplateLibrary?
    /// Where guests wait for their turn to start.
    nonisolated let starts = StartQueue(places: sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    private var installation: QEMUInstallation?

    /// A hypervisor that has not looked for QEMU yet; without templates every guest boots.
    package init(
        configuration: Configuration,
        templates: TemplateLibrary? = nil,
        group: any EventLoopGroup,
        logger: Logger
    ) {
        self.configuration = configuration
        self.templates = templates
        self.group = group
        probe = AcceleratorProbe(setting: configuration.accelerator, logger: logger)
    }

    /// The QEMU of this host; looked for again until it is found.
    ///
    /// - Throws: `QEMUError.notInstalled` and what `QEMUInstallation.find` throws.
    package func found() async throws -> QEMUInstallation {
        if let installation { return installation }
        let found = try await QEMUInstallation.find(configuration.qemu)
        installation = found
        return found
    }

    /// The accelerator that guests with this image's kernel get.
    ///
    /// - Throws: `QEMUError`.
    package func accelerator(for image: Image) async throws -> Accelerator {
        try await probe.accelerator(for: try await found(), kernel: image.path(of: image.manifest.kernel))
    }

    /// A guest that was started.
    struct LaunchedGuest {
        /// Its QEMU.
        let process: QEMUProcess
        /// What executes its code.
        let accelerator: Accelerator
        /// The saved guest that it is a copy of: it stands still, and does not know who it is.
        var template: Template?
        /// Why it had to boot, though there was a saved guest to copy.
        var coldBootReason: String?
    }

    /// Starts the QEMU of a VM, as a copy of a saved guest where there is one; returns when its monitor answers.
    ///
    /// - Throws: `QEMUError`.
    func launch(
        _ spec: VMSpec,
        image: Image,
        directory: VMDirectory,
        slot: Int,
        usesTemplates: Bool
    ) async throws -> LaunchedGuest {
        let installation = try await found()
        let accelerator = try await accelerator(for: image)
        var arguments = image.manifest.kernelArguments
        if let extra = spec.kernelArgs, !extra.isEmpty { arguments += " " + extra }
        var launch = QEMULaunch(
            machine: installation.machine,
            accelerator: accelerator,
            cpus: spec.cpus,
            memoryMiB: spec.memoryMiB,
            kernel: image.path(of: image.manifest.kernel),
            initramfs: image.path(of: image.manifest.initramfs),
            kernelArguments: arguments,
            hasNetwork: spec.networkInterface != nil
        )
        let process = QEMUProcess.Configuration(
            shim: configuration.shim,
            qemu: installation.path,
            consoleLogKiB: configuration.consoleLogKiB
        )
        // Arguments of the user's own make a shape that hardly anybody asks for again.
        var template: Template?
        if usesTemplates, let templates, accelerator == .tcg, spec.kernelArgs == nil, image.manifest.allowsTemplates,
            let shape = TemplateShape(launch, image: image, installation: installation)
        {
            template = await templates.template(for: shape)
            if let template {
                launch.memory = .cloned(
                    holder: MemoryHolder.socketPath(in: template.folder),
                    state: template.statePath
                )
            } else {
                await templates.request(shape, launch: launch, process: process, user: user(slot: -1))
            }
        }
        do {
            let started = try await start(launch, process, in: directory, slot: slot, isCopy: template != nil)
            return LaunchedGuest(process: started, accelerator: accelerator, template: template)
        } catch {
            guard let template else { throw error }
            try Task.checkCancellation()
            let reason = TemplateError(error).message
            await reject(template, because: reason)
            launch.memory = .own
            let started = try await start(launch, process, in: directory, slot: slot, isCopy: false)
            return LaunchedGuest(process: started, accelerator: accelerator, coldBootReason: reason)
        }
    }

    private func start(
        _ launch: QEMULaunch,
        _ process: QEMUProcess.Configuration,
        in directory: VMDirectory,
        slot: Int,
        isCopy: Bool
    ) async throws -> QEMUProcess {
        // Whoever takes up this guest after a crash of the daemon must know what it is.
        try directory.setNameless(isCopy)
        return try await QEMUProcess.launch(
            launch,
            as: user(slot: slot),
            in: directory,
            configuration: process,
            group: group
        )
    }

    /// Takes note that a copy of a saved guest did not run.
    func reject(_ template: Template, because reason: String) async {
        await templates?.reject(template, because: reason)
    }

    /// As root every VM has a user id of its own, so that one escaped QEMU does not reach the sockets of another; slot -1 is for
    /// guests that are saved.
    private func user(slot: Int) -> QEMUUser {
        geteuid() == 0 ? .own(uid: UInt32(Int(configuration.firstUID) + slot)) : .daemon
    }
}

extension QEMUError {
    /// The error as the reason of a VM's state.
    package var reason: StateReason {
        switch self {
        case .notInstalled(let program):
            StateReason(
                code: "qemu-missing",
                message: "\(program) is not installed; install qemu-system-x86 or set vms.qemu."
            )
        case .acceleratorUnusable(let reason):
            StateReason(
                code: "accelerator-unusable",
                message: "KVM cannot be used: \(reason). Set vms.accelerator to auto or tcg."
            )
        case .launchFailed(let detail): StateReason(code: "qemu-failed", message: "QEMU did not start: \(detail)")
        case .toolFailed(let program, let output):
            StateReason(code: "qemu-failed", message: "\(program) failed: \(output)")
        case .toolTimedOut(let program): StateReason(code: "qemu-failed", message: "\(program) took too long to start.")
        case .alreadyRunning: StateReason(code: "qemu-failed", message: "Another process holds the VM's directory.")
        case .directory(let path, let number):
            StateReason(code: "vm-directory", message: "\(path): \(String(cString: strerror(number)))")
        case .notListening(let socket), .closed(let socket):
            StateReason(code: "qemu-failed", message: "\(socket) does not answer.")
        case .timedOut(let command): StateReason(code: "qemu-failed", message: "No answer to \(command) in time.")
        case .refused(let command, let description):
            StateReason(code: "qemu-failed", message: "\(command) was refused: \(description)")
        case .unsupportedByAgent(let what):
            StateReason(code: "agent-unsupported", message: "The guest agent cannot do this: \(what)")
        }
    }
}

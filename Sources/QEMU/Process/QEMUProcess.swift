package import NIOCore
import Synchronization
import WarrenModel

/// The user that QEMU runs as.
package enum QEMUUser: Hashable, Sendable {
    /// The daemon's own, inside a user namespace: for a daemon that is not root.
    case daemon
    /// One of its own: for a daemon that is root.
    case own(uid: UInt32)
}

/// One running QEMU behind its shim.
///
/// It lives on when this object, or the daemon, goes.
package final class QEMUProcess: Sendable {
    /// The VM's directory.
    package let directory: VMDirectory
    /// What the shim says about itself and its QEMU.
    package let status: ShimStatus

    private struct Link {
        var shim: ShimClient
        var isDetached = false
    }
    private let link: Mutex<Link>

    private init(directory: VMDirectory, shim: ShimClient) {
        self.directory = directory
        status = shim.status
        link = Mutex(Link(shim: shim))
    }

    /// How to start a QEMU.
    package struct Configuration: Hashable, Sendable {
        /// `warren-shim`, as an absolute path.
        package var shim: String
        /// QEMU, as an absolute path.
        package var qemu: String
        /// How much of the console is kept.
        package var consoleLogKiB: Int

        /// Joins the parts.
        package init(shim: String, qemu: String, consoleLogKiB: Int) {
            self.shim = shim
            self.qemu = qemu
            self.consoleLogKiB = consoleLogKiB
        }
    }

    /// Starts a QEMU; returns when its monitor answers.
    ///
    /// - Throws: `QEMUError.launchFailed`, `.alreadyRunning`, `.notInstalled`, `.toolTimedOut`.
    package static func launch(
        _ launch: QEMULaunch,
        as user: QEMUUser,
        in directory: VMDirectory,
        configuration: Configuration,
        group: any EventLoopGroup
    ) async throws -> QEMUProcess {
        var arguments = [
            "run", "--directory", directory.path, "--qemu", configuration.qemu, "--memory-mib",
            String(launch.memoryMiB),
            "--cpus", String(launch.cpus), "--console-kib", String(configuration.consoleLogKiB),
        ]
        if case .own(let uid) = user { arguments += ["--uid", String(uid), "--gid", String(uid)] }
        if launch.accelerator == .kvm { arguments += ["--device", "/dev/kvm"] }
        if let holder = launch.memory.holder { arguments += ["--memory-from", holder] }
        if case .cloned(_, let state) = launch.memory {
            arguments += ["--state", state]
        } else {
            for file in [launch.kernel, launch.initramfs].compactMap({ $0 }) { arguments += ["--expose", file] }
        }
        arguments += ["--"] + QEMUArguments.build(launch, name: directory.name)
        let result: ShortTool.Result
        do {
            result = try await ShortTool.run(configuration.shim, arguments, timeout: QEMUDefaults.launchTimeout)
        } catch QEMUError.toolTimedOut(let program) {
            // The shim may have got further than its messenger.
            if let shim = try? await ShimClient.connect(to: directory, group: group) {
                shim.kill()
                _ = await shim.exit()
            }
            throw QEMUError.toolTimedOut(program: program)
        }
        guard result.isSuccess else {
            if result.exitCode == alreadyRunningCode { throw QEMUError.alreadyRunning }
            let words = result.errors.replacing("warren-shim: ", with: "").split(separator: "\n").joined(
                separator: "; "
            )
            throw QEMUError.launchFailed(detail: String(words.prefix(1000)))
        }
        return QEMUProcess(directory: directory, shim: try await ShimClient.connect(to: directory, group: group))
    }

    /// Takes up the QEMU that runs in `directory`; nil when none does.
    ///
    /// - Throws: `QEMUError.timedOut` when a shim holds the lock but does not answer.
    package static func attach(to directory: VMDirectory, group: any EventLoopGroup) async throws -> QEMUProcess? {
        // A shim that is about to end still holds its lock: it is asked until it either answers or is gone.
        for _ in 0..<200 {
            guard directory.isAlive else { return nil }
            if let shim = try? await ShimClient.connect(to: directory, group: group) {
                return QEMUProcess(directory: directory, shim: shim)
            }
            try await Task.sleep(for: .milliseconds(25))
        }
        throw QEMUError.timedOut(command: "attach")
    }

    /// Waits until QEMU is gone, and says how it went; `.unseen` at once after `detach` or when the task is cancelled.
    package func exit() async -> VMExit {
        await withTaskCancellationHandler {
            while true {
                let shim = link.withLock { $0.shim }
                if let exit = await shim.exit() {
                    // The shim speaks just before it ends; its lock must be free before anything else happens to the VM.
                    for _ in 0..<500 where directory.isAlive { try? await Task.sleep(for: .milliseconds(2)) }
                    return exit
                }
                // Without a word: the connection broke, or the shim was killed. The lock tells which.
                guard !link.withLock({ $0.isDetached }) else { return .unseen }
                guard directory.isAlive else { return directory.exitReport ?? .unseen }
                if let again = try? await ShimClient.connect(to: directory, group: shim.eventLoop) {
                    let isDetached = link.withLock { link in
                        link.shim = again
                        return link.isDetached
                    }
                    if isDetached { again.close() }
                } else {
                    try? await Task.sleep(for: .milliseconds(25))
                }
            }
        } onCancel: {
            detach()
        }
    }

    /// Ends QEMU at once.
    package func kill() { link.withLock { $0.shim }.kill() }

    /// Asks QEMU to end, without asking the guest.
    package func terminate() { link.withLock { $0.shim }.terminate() }

    /// Lets go of the shim; QEMU goes on.
    package func detach() {
        let shim = link.withLock { link in
            link.isDetached = true
            return link.shim
        }
        shim.close()
    }

    /// The shim's word for a lock that is taken (EX_TEMPFAIL).
    static let alreadyRunningCode: Int32 = 75
}

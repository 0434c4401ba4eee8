import Glibc
package import Logging
package import WarrenModel

/// Finds out whether KVM really runs guests here, by booting the kernel that guests get: a device that opens proves nothing.
package actor AcceleratorProbe {
    /// What the configuration asks for.
    package enum Setting: String, Hashable, Sendable, CaseIterable {
        /// KVM where it works; never; or nothing else.
        case auto, tcg, kvm
    }

    private let setting: Setting
    private let logger: Logger
    private var probed: [String: Result<Void, QEMUError>] = [:]

    /// A probe for one configuration.
    package init(setting: Setting, logger: Logger) {
        self.setting = setting
        self.logger = logger
    }

    /// The accelerator for guests of `kernel`; the answer for a QEMU and kernel is found once.
    ///
    /// - Throws: `QEMUError.acceleratorUnusable` when KVM is asked for by name and does not work.
    package func accelerator(for installation: QEMUInstallation, kernel: String) async throws -> Accelerator {
        if setting == .tcg { return .tcg }
        let key = "\(installation.path) \(installation.version) \(kernel)"
        if probed[key] == nil {
            let result = await Self.bootUnderKVM(installation, kernel: kernel)
            probed[key] = result
            if case .failure(let error) = result, setting == .auto {
                logger.info("KVM does not run guests here", metadata: ["error": "\(error)"])
            }
        }
        switch probed[key] {
        case .success: return .kvm
        case .failure(let error) where setting == .kvm: throw error
        case .failure, nil: return .tcg
        }
    }

    private static func bootUnderKVM(_ installation: QEMUInstallation, kernel: String) async -> Result<Void, QEMUError>
    {
        let device = open("/dev/kvm", O_RDWR | O_CLOEXEC)
        guard device >= 0 else {
            return .failure(.acceleratorUnusable(reason: "/dev/kvm: \(String(cString: strerror(errno)))"))
        }
        close(device)
        // Without an initial file system the kernel ends in a panic, reboots, and QEMU leaves: that is success.
        let arguments = [
            "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot", "-machine",
            "\(installation.machine),usb=off",
            "-accel", "kvm", "-cpu", "host", "-m", "256M", "-kernel", kernel, "-append", "console=ttyS0 panic=-1",
            "-serial", "stdio", "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        ]
        do {
            let result = try await ShortTool.run(installation.path, arguments, timeout: QEMUDefaults.probeTimeout)
            if result.isSuccess, result.output.contains("Linux version") { return .success(()) }
            let words = result.errors.split(separator: "\n").last.map(String.init) ?? "the kernel did not boot"
            return .failure(.acceleratorUnusable(reason: words))
        } catch QEMUError.toolTimedOut {
            return .failure(.acceleratorUnusable(reason: "the kernel did not boot within \(QEMUDefaults.probeTimeout)"))
        } catch {
            return .failure(.acceleratorUnusable(reason: "\(error)"))
        }
    }
}

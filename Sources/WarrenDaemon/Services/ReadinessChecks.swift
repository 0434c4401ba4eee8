import QEMU
import Store
import VirtualMachines
import WarrenAPI
import WarrenModel

/// Whether the daemon can do its work, and what the host is.
struct ReadinessChecks: Sendable {
    /// Asked whether it answers.
    let database: WarrenDatabase
    /// Asked whether it took up the VMs of the last run.
    let registry: VMRegistry
    /// Asked for QEMU and images.
    let host: VMHost
    /// The image that a VM gets that names none.
    let defaultImage: String

    /// Each check by name; a failing one says what to do.
    func checks() async -> [HealthAnswer.Check] {
        [
            await check("database") { try await database.check() },
            await check("vms") {
                guard await registry.isReady else { throw Failure("The VMs of the last run are being taken up.") }
            },
            await check("qemu") { _ = try await host.hypervisor.found() },
            await check("image") { _ = try host.images.image(named: defaultImage) },
            await check("accelerator") { _ = try await accelerator() },
        ]
    }

    /// What `GET /v1` tells.
    func description(_ limits: ServiceLimits) async -> ServiceDescription {
        // What cannot be found out is told by `readyz`; TCG is part of every QEMU.
        let found = try? await accelerator()
        return ServiceDescription(
            version: DaemonVersion.text,
            accelerators: found == .kvm ? [.kvm, .tcg] : [.tcg],
            limits: limits,
            capabilities: ["exec", "console-log", "events", "embedded-tailnet"]
        )
    }

    private func accelerator() async throws -> Accelerator {
        try await host.hypervisor.accelerator(for: try host.images.image(named: defaultImage))
    }

    private struct Failure: Error {
        let message: String
        init(_ message: String) { self.message = message }
    }

    private func check(_ name: String, _ body: () async throws -> Void) async -> HealthAnswer.Check {
        do {
            try await body()
            return HealthAnswer.Check(name: name, ok: true)
        } catch {
            return HealthAnswer.Check(name: name, ok: false, detail: Self.text(error))
        }
    }

    private static func text(_ error: any Error) -> String {
        switch error {
        case let failure as Failure: failure.message
        case let error as QEMUError: error.reason.message
        case let error as ImageError: error.reason.message
        default: "\(error)"
        }
    }
}

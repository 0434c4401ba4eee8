import FoundationEssentials
import Glibc
import NIOCore
import QEMU
import WarrenModel

/// Boots a guest, waits until it has come to rest, and saves it.
struct TemplateBuilder: Sendable {
    /// How QEMU and the shim are started.
    let process: QEMUProcess.Configuration
    /// Whom QEMU runs as.
    let user: QEMUUser
    /// Where its connections live.
    let group: any EventLoopGroup

    /// What a guest may take to boot before it is given up.
    static let bootTimeout = Duration.seconds(90)
    /// After its agent answers, a guest still loads what can wait: all of it is to be in the template.
    private static let settlingTime = Duration.seconds(1)

    /// Saves a guest of `launch` into the template's folder, which is made.
    ///
    /// - Throws: `TemplateError`, with nothing left behind.
    func build(_ template: Template, from launch: QEMULaunch) async throws(TemplateError) {
        var holder: MemoryHolder?
        do {
            let directory = try VMDirectory.create(path: template.folder)
            let memory = MemoryHolder(of: directory)
            holder = memory
            try await memory.start(shim: process.shim, memoryMiB: launch.memoryMiB)
            var launch = launch
            launch.memory = .saved(holder: memory.socketPath)
            let guest = try VMDirectory.create(path: template.folder + "/guest")
            let state = try await save(launch, in: guest)
            try await memory.save(group: group)
            try write(state, to: template.statePath)
            guard let memoryDigest = FileDigest.sha256(path: template.memoryPath) else {
                throw TemplateError(message: "The saved memory cannot be read back.")
            }
            let manifest = TemplateManifest(
                shape: template.shape,
                memorySHA256: memoryDigest,
                stateSHA256: FileDigest.sha256(of: state)
            )
            if let left = DirectoryRemoval.remove(template.folder + "/guest") {
                throw TemplateError(message: "\(left) cannot be removed.")
            }
            try write(Array(try JSONEncoder().encode(manifest)), to: template.manifestPath)
        } catch {
            await holder?.end(group: group)
            _ = DirectoryRemoval.remove(template.folder)
            throw TemplateError(error)
        }
    }

    private func save(_ launch: QEMULaunch, in directory: VMDirectory) async throws -> [UInt8] {
        let guest = try await QEMUProcess.launch(
            launch,
            as: user,
            in: directory,
            configuration: process,
            group: group
        )
        do {
            // A guest that boots would keep the daemon from its end.
            let state = try await withTaskCancellationHandler {
                try await saved(guest, launch, in: directory)
            } onCancel: {
                guest.kill()
            }
            guest.kill()
            _ = await guest.exit()
            return state
        } catch {
            guest.kill()
            _ = await guest.exit()
            throw error
        }
    }

    private func saved(_ guest: QEMUProcess, _ launch: QEMULaunch, in directory: VMDirectory) async throws -> [UInt8] {
        let agent = GuestAgentClient(directory: directory, group: group)
        do {
            let monitor = try await QMPClient.connect(to: directory, group: group) { _ in }
            if launch.hasNetwork { try await monitor.setLink(up: false) }
            do {
                try await agent.waitUntilReady(timeout: Self.bootTimeout)
            } catch {
                try Task.checkCancellation()
                let tail = try? directory.consoleLog(tail: 300)  // Without one the reason is shorter.
                throw TemplateError(guestNeverReady: tail ?? [])
            }
            guard try await agent.canReidentify() else {
                throw TemplateError(message: "The image's agent cannot tell a copy who it is.")
            }
            try await ContinuousClock().sleep(for: Self.settlingTime)
            // What the guest has cached of its files would only make the template larger.
            _ = try await agent.exec(
                ExecRequest(command: ["/bin/sh", "-c", "sync; echo 3 >/proc/sys/vm/drop_caches"])
            )
            await agent.close()
            let state = try await monitor.saveState(in: directory, group: group)
            await monitor.close()
            return state
        } catch {
            await agent.close()
            throw error
        }
    }

    private func write(_ octets: [UInt8], to path: String) throws(TemplateError) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw TemplateError(path: path, errno: errno) }
        defer { close(file) }
        var written = 0
        while written < octets.count {
            let count = octets.withUnsafeBytes { part in
                part.baseAddress.map { Glibc.write(file, $0 + written, part.count - written) } ?? 0
            }
            guard count > 0 || errno == EINTR else { throw TemplateError(path: path, errno: errno) }
            written += max(0, count)
        }
        guard fsync(file) == 0 else { throw TemplateError(path: path, errno: errno) }
    }
}

/// Why a guest could not be saved or copied.
struct TemplateError: Error, Hashable {
    /// One sentence.
    let message: String

    /// A reason in words.
    init(message: String) { self.message = message }

    /// A file that cannot be written.
    init(path: String, errno number: Int32) {
        message = "\(path): \(String(cString: strerror(number)))"
    }

    /// A guest whose agent did not answer, with the end of its console.
    init(guestNeverReady console: [UInt8]) {
        let words = String(decoding: console.filter { (0x20...0x7E).contains($0) || $0 == 0x0A }, as: UTF8.self)
        let last = words.split(separator: "\n").suffix(3).joined(separator: " / ")
        message =
            "The guest did not get ready within \(TemplateBuilder.bootTimeout)" + (last.isEmpty ? "." : ": \(last)")
    }

    /// What went wrong beneath.
    init(_ error: any Error) {
        switch error {
        case let error as TemplateError: self = error
        case let error as QEMUError: message = error.reason.message
        default: message = "\(error)"
        }
    }
}

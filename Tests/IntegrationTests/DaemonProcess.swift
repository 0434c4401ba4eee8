import AsyncHTTPClient
import Foundation
import Glibc
import NIOCore
import TestSupport

/// A real `warrend` in a state directory of its own, with every port chosen by the kernel.
///
/// `terminate()` or `kill()` ends the process; `destroy()` also removes its VMs and the directory.
final class DaemonProcess: Sendable {
    /// What a test changes in the configuration: YAML lines below each section.
    struct Settings: Sendable {
        var qemu = "qemu-system-x86_64"
        var accelerator = "tcg"
        var webhookNetworks = "[\"127.0.0.0/8\"]"
        var savesTemplates = false
        var extraVMs: [String] = []
        var extraTailnet: [String] = []
        var extraControl: [String] = []
    }

    let directory: URL
    let log: URL
    let settings: Settings
    private let box = ProcessBox()

    /// Makes the state directory and its configuration; `start()` runs the daemon.
    init(_ settings: Settings = Settings()) throws {
        self.settings = settings
        directory = URL(fileURLWithPath: "/tmp/warren-test-\(UUID().uuidString.prefix(8))")
        log = directory.appendingPathComponent("warrend.log")
        try FileManager.default.createDirectory(
            at: directory.appendingPathComponent("state"),
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        if let images = TestEnvironment.images {
            try FileManager.default.createSymbolicLink(
                at: directory.appendingPathComponent("state/images"),
                withDestinationURL: images
            )
        }
        try writeConfiguration(settings)
    }

    /// Replaces the configuration file; takes effect at the next start.
    func writeConfiguration(_ settings: Settings) throws {
        let lines =
            [
                "listen:", "  http: \"127.0.0.1:0\"", "  unixSocket: \(directory.path)/state/warrend.sock",
                "log: { level: debug }", "templates: { enabled: \(settings.savesTemplates) }",
                "vms:", "  qemu: \(settings.qemu)", "  accelerator: \(settings.accelerator)",
            ] + settings.extraVMs.map { "  " + $0 } + ["control:"] + settings.extraControl.map { "  " + $0 } + [
                "  embedded:", "    listen: \"127.0.0.1:0\"", "    derp: \"127.0.0.1:0\"",
                "    stun: \"127.0.0.1:0\"",
                "tailnet:", "  bind: \"127.0.0.1\"",
            ] + settings.extraTailnet.map { "  " + $0 } + [
                "webhooks:", "  allowNetworks: \(settings.webhookNetworks)", "  allowHTTP: true",
            ]
        try Data((lines.joined(separator: "\n") + "\n").utf8)
            .write(to: directory.appendingPathComponent("warrend.yaml"))
    }

    /// Starts the daemon and waits until it is ready, 30 s at the most.
    @discardableResult
    func start() async throws -> API {
        try? FileManager.default.removeItem(at: state("http.address"))
        let process = Process()
        process.executableURL = TestEnvironment.binary("warrend")
        process.arguments = [
            "--config", directory.appendingPathComponent("warrend.yaml").path, "--state-dir", state("").path,
        ]
        if !FileManager.default.fileExists(atPath: log.path) {
            _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        }
        let output = try FileHandle(forWritingTo: log)
        try output.seekToEnd()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        box.set(process)
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            guard process.isRunning else { throw HarnessError("warrend ended at once: \(logTail)") }
            if let address = try? String(contentsOf: state("http.address"), encoding: .utf8),
                let token = try? String(contentsOf: state("admin.token"), encoding: .utf8)
            {
                let api = API(
                    base: "http://" + address.trimmingCharacters(in: .whitespacesAndNewlines),
                    token: token.trimmingCharacters(in: .whitespacesAndNewlines)
                )
                if let answer = try? await api.send(.GET, "/livez"), answer.status == 200 { return api }
            }
            try await Poll.pause()
        }
        throw HarnessError("warrend did not get ready: \(logTail)")
    }

    /// SIGTERM, and the exit code once it ended.
    @discardableResult
    func terminate() async -> Int32? { await box.end(signal: SIGTERM) }

    /// SIGKILL: what a power cut does to the daemon alone.
    func kill() async { _ = await box.end(signal: SIGKILL) }

    /// Deletes the VMs, ends the daemon and removes the directory.
    func destroy() async {
        if !box.isRunning { _ = try? await start() }
        if let address = try? String(contentsOf: state("http.address"), encoding: .utf8),
            let token = try? String(contentsOf: state("admin.token"), encoding: .utf8), box.isRunning
        {
            let api = API(
                base: "http://" + address.trimmingCharacters(in: .whitespacesAndNewlines),
                token: token.trimmingCharacters(in: .whitespacesAndNewlines)
            )
            let listed = try? await api.send(.GET, "/v1/vms?limit=500")
            for machine in listed?.json.items?.array ?? [] {
                _ = try? await api.send(.DELETE, "/v1/vms/\(machine.id?.string ?? "")?force=true")
            }
            _ = try? await Poll.until(within: .seconds(15)) {
                let left = try? FileManager.default.contentsOfDirectory(atPath: self.state("vms").path)
                return left?.isEmpty ?? true
            }
        }
        await terminate()
        // Left behind only when the daemon failed its test; the file names say which run it was.
        try? FileManager.default.removeItem(at: directory)
    }

    /// A path in the state directory.
    func state(_ name: String) -> URL { directory.appendingPathComponent("state").appendingPathComponent(name) }

    /// The end of the daemon's log, for failure messages.
    var logTail: String {
        let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
        return String(text.suffix(3000))
    }
}

/// Holds the one process of a `DaemonProcess`.
private final class ProcessBox: @unchecked Sendable {
    // Every access takes the lock.
    private let lock = NSLock()
    private var process: Process?

    var isRunning: Bool { lock.withLock { process?.isRunning ?? false } }

    func set(_ process: Process) { lock.withLock { self.process = process } }

    func end(signal: Int32) async -> Int32? {
        guard let process = lock.withLock({ self.process }) else { return nil }
        if process.isRunning { _ = Glibc.kill(process.processIdentifier, signal) }
        let ended = try? await Poll.until(within: .seconds(20)) { !process.isRunning }
        if ended != true { _ = Glibc.kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        return process.terminationStatus
    }
}

/// Why the harness gave up.
struct HarnessError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

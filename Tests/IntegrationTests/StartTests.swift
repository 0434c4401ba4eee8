import Foundation
import Glibc
import TestSupport
import Testing

/// How `warrend` ends when it cannot begin.
@Suite("Starting the daemon", .timeLimit(.minutes(2)))
struct StartTests {
    @Test func `a second daemon on one state directory says who holds it`() async throws {
        let daemon = try DaemonProcess()
        try await daemon.using { _ in
            let second = try await CommandRun(
                "warrend",
                ["--config", daemon.directory.path + "/warrend.yaml", "--state-dir", daemon.state("").path]
            )
            #expect(second.exitCode == 75, "\(second)")
        }
    }

    @Test func `every problem of a configuration is reported at once with path and line`() async throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("bad.yaml")
        try Data("listen:\n  htp: x\nvms:\n  maxCount: many\nlog: { level: loud }\n".utf8).write(to: file)
        let run = try await CommandRun("warrend", ["--check-config", "--config", file.path])
        #expect(run.exitCode == 78, "\(run)")
        for part in ["listen.htp", "vms.maxCount", "log.level", "2", "4", "5"] {
            #expect(run.errors.contains(part), "\(part) in \(run)")
        }
        let missing = try await CommandRun("warrend", ["--check-config", "--config", "/nonexistent.yaml"])
        #expect(missing.exitCode == 78)
        let usage = try await CommandRun("warrend", ["--no-such-flag"])
        #expect(usage.exitCode == 64)
    }

    @Test func `a port in use ends the start with 73`() async throws {
        let daemon = try DaemonProcess()
        try await daemon.using { api in
            let port = try #require(api.base.split(separator: ":").last)
            let folder = try TemporaryFolder()
            let file = folder.url.appendingPathComponent("taken.yaml")
            try Data(
                "listen: { http: \"127.0.0.1:\(port)\", unixSocket: \"off\" }\ncontrol: { embedded: { listen: \"127.0.0.1:0\", derp: \"127.0.0.1:0\", stun: \"127.0.0.1:0\" } }\n"
                    .utf8
            ).write(to: file)
            let run = try await CommandRun(
                "warrend",
                ["--config", file.path, "--state-dir", folder.url.appendingPathComponent("s").path]
            )
            #expect(run.exitCode == 73, "\(run)")
            #expect(run.errors.contains("\(port)") || run.output.contains("\(port)"), "\(run)")
        }
    }

    @Test func `a corrupt database is refused and not touched`() async throws {
        let folder = try TemporaryFolder()
        let state = folder.url.appendingPathComponent("state")
        try FileManager.default.createDirectory(
            at: state,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        let garbage = Data(repeating: 0x5A, count: 8192)
        try garbage.write(to: state.appendingPathComponent("warren.sqlite"))
        let file = folder.url.appendingPathComponent("off.yaml")
        try Data("listen: { http: \"127.0.0.1:0\", unixSocket: \"off\" }\n".utf8).write(to: file)
        let run = try await CommandRun("warrend", ["--config", file.path, "--state-dir", state.path])
        #expect(run.exitCode == 78, "\(run)")
        #expect(try Data(contentsOf: state.appendingPathComponent("warren.sqlite")) == garbage)
    }

    @Test func `without QEMU the daemon runs and readyz says so`() async throws {
        var settings = DaemonProcess.Settings()
        settings.qemu = "/nonexistent/qemu-system-x86_64"
        let daemon = try DaemonProcess(settings)
        try await daemon.using { api in
            let ready = try await api.send(.GET, "/readyz")
            #expect(ready.status == 503, "\(ready)")
            #expect(ready.description.contains("qemu"))
            let made = try await api.createVM(#"{"name":"none"}"#)
            #expect(made.name?.string == "none")
            let failed = try await Poll.until(within: .seconds(10)) {
                try await api.send(.GET, "/v1/vms/none").json.state?.string == "failed"
            }
            let none = try await api.send(.GET, "/v1/vms/none")
            #expect(failed, "\(none)")
        }
    }

    @Test(.enabled(if: TestEnvironment.hasGuests)) func `an unusable KVM is said where it was asked for`() async throws
    {
        var settings = DaemonProcess.Settings()
        settings.accelerator = "kvm"
        let daemon = try DaemonProcess(settings)
        try await daemon.using { api in
            let about = try await api.send(.GET, "/v1").json
            if about.accelerators?.array?.contains(.string("kvm")) == true { return }
            let ready = try await api.send(.GET, "/readyz")
            #expect(ready.status == 503, "\(ready)")
            #expect(ready.description.contains("kvm"), "\(ready)")
        }
    }

    @Test func `SIGTERM ends the daemon with 0 and removes its socket`() async throws {
        let daemon = try DaemonProcess()
        try await daemon.start()
        #expect(FileManager.default.fileExists(atPath: daemon.state("warrend.sock").path))
        #expect(await daemon.terminate() == 0)
        #expect(!FileManager.default.fileExists(atPath: daemon.state("warrend.sock").path))
        let mode = try FileManager.default.attributesOfItem(atPath: daemon.state("admin.token").path)[.posixPermissions]
        #expect((mode as? NSNumber)?.intValue == 0o600)
        await daemon.destroy()
    }
}

/// A product run to its end.
struct CommandRun: CustomStringConvertible {
    let exitCode: Int32
    let output: String
    let errors: String

    /// Runs a binary of this build; 30 s at the most.
    init(_ name: String, _ arguments: [String], environment: [String: String]? = nil) async throws {
        let folder = try TemporaryFolder()
        let outputFile = folder.url.appendingPathComponent("out")
        let errorFile = folder.url.appendingPathComponent("err")
        _ = FileManager.default.createFile(atPath: outputFile.path, contents: nil)
        _ = FileManager.default.createFile(atPath: errorFile.path, contents: nil)
        let process = Process()
        process.executableURL = TestEnvironment.binary(name)
        process.arguments = arguments
        if let environment { process.environment = environment }
        process.standardOutput = try FileHandle(forWritingTo: outputFile)
        process.standardError = try FileHandle(forWritingTo: errorFile)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let ended = try await Poll.until(within: .seconds(30)) { !process.isRunning }
        if !ended { _ = kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        exitCode = process.terminationStatus
        output = try String(contentsOf: outputFile, encoding: .utf8)
        errors = try String(contentsOf: errorFile, encoding: .utf8)
    }

    var description: String { "exit \(exitCode)\n\(output)\n\(errors)" }
}

/// A folder that goes when its owner does.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = URL(fileURLWithPath: "/tmp/warren-test-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        // Nothing can be done about a folder that will not go.
        try? FileManager.default.removeItem(at: url)
    }
}

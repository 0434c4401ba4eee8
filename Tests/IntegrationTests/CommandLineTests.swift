import Foundation
import TestSupport
import Testing

/// `warren` as scripts use it.
@Suite("Command line", .timeLimit(.minutes(2)))
struct CommandLineTests {
    @Test func `creates, lists, shows and removes, with the exit codes scripts rely on`() async throws {
        let daemon = try DaemonProcess()
        try await daemon.using { api in
            let token = try #require(api.token)
            let environment = ["WARREN_URL": api.base, "WARREN_TOKEN": token, "HOME": "/nonexistent"]
            let made = try await CommandRun(
                "warren",
                ["--json", "vm", "create", "--name", "box", "--no-autostart"],
                environment: environment
            )
            #expect(made.exitCode == 0, "\(made)")
            #expect(try JSONValue(parsing: Data(made.output.utf8)).name?.string == "box")
            let listed = try await CommandRun("warren", ["vm", "ls"], environment: environment)
            #expect(listed.exitCode == 0 && listed.output.contains("box"), "\(listed)")
            let again = try await CommandRun(
                "warren",
                ["vm", "create", "--name", "box", "--no-autostart"],
                environment: environment
            )
            #expect(again.exitCode == 1, "\(again)")
            #expect(again.errors.lowercased().contains("name"), "\(again)")
            let late = try await CommandRun(
                "warren",
                ["vm", "wait", "box", "--state", "running", "--timeout", "1s"],
                environment: environment
            )
            #expect(late.exitCode == 124, "\(late)")
            let socket = try await CommandRun(
                "warren",
                ["--url", "unix:\(daemon.state("warrend.sock").path)", "vm", "ls"],
                environment: ["HOME": "/nonexistent"]
            )
            #expect(socket.exitCode == 0 && socket.output.contains("box"), "\(socket)")
            let key = try await CommandRun("warren", ["tailnet", "auth-key", "create"], environment: environment)
            #expect(key.exitCode == 0 && key.output.contains("tskey-auth-"), "\(key)")
            let removed = try await CommandRun("warren", ["vm", "rm", "box"], environment: environment)
            #expect(removed.exitCode == 0, "\(removed)")
            let usage = try await CommandRun("warren", ["vm", "frobnicate"], environment: environment)
            #expect(usage.exitCode == 2, "\(usage)")
            let nobody = try await CommandRun(
                "warren",
                ["vm", "ls"],
                environment: ["WARREN_URL": "http://127.0.0.1:9", "WARREN_TOKEN": "x"]
            )
            #expect(nobody.exitCode == 3, "\(nobody)")
        }
    }
}

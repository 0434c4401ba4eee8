import Foundation
import NIOPosix
import QEMU
import Store
import TestSupport
import Testing
import VirtualMachines
import WarrenModel

/// Real guests that are saved and copied.
@Suite("Template", .timeLimit(.minutes(5)), .enabled(if: GuestPrerequisites.areMet))
struct TemplateTests {
    private func withHost(_ body: (HostFixture) async throws -> Void) async throws {
        try await GuestSlots.shared.run {
            let fixture = try HostFixture()
            do { try await body(fixture) } catch {
                await fixture.endGuests()
                throw error
            }
            await fixture.endGuests()
        }
    }

    private func create(_ name: String, _ registry: VMRegistry) async throws {
        _ = try await registry.create(try HostFixture.request("\"name\": \"\(name)\""))
        let answer = try await registry.wait(for: VMCondition(isAgentReady: true), of: name, timeout: .seconds(60))
        #expect(answer.reached, "\(String(describing: answer.vm?.stateReason))")
    }

    private func say(_ script: String, in name: String, _ registry: VMRegistry) async throws -> String {
        let answer = try await registry.exec(ExecRequest(command: ["/bin/sh", "-c", script]), in: name)
        return String(decoding: answer.stdout, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Waits until one template is whole; answers its folder.
    private func savedTemplate(_ fixture: HostFixture) async throws -> String {
        for _ in 0..<6000 {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: fixture.templatesFolder)) ?? []
            let folders = names.map { "\(fixture.templatesFolder)/\($0)" }
            if let whole = folders.first(where: { FileManager.default.fileExists(atPath: $0 + "/template.json") }) {
                return whole
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw CocoaError(.fileNoSuchFile)
    }

    /// Waits until a guest that is to be saved runs; answers its folder.
    private func guestBeingSaved(_ fixture: HostFixture) async throws -> String {
        for _ in 0..<3000 {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: fixture.templatesFolder)) ?? []
            for name in names {
                let guest = "\(fixture.templatesFolder)/\(name)/guest"
                if let directory = try? VMDirectory(path: guest), directory.isAlive { return guest }
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw CocoaError(.fileNoSuchFile)
    }

    @Test func `copies of a saved guest share nothing that tells one from another`() async throws {
        try await withHost { fixture in
            try await fixture.withRegistry(savesTemplates: true) { registry, host in
                try await create("one", registry)
                let template = try await savedTemplate(fixture)
                #expect(!FileManager.default.fileExists(atPath: template + "/guest"))
                try await create("two", registry)
                try await create("three", registry)
                var machines: Set<String> = [], random: Set<String> = []
                for name in ["one", "two", "three"] {
                    machines.insert(try await say("cat /etc/machine-id", in: name, registry))
                    random.insert(try await say("head -c 32 /dev/urandom | sha256sum", in: name, registry))
                    let clock = try #require(Double(try await say("date +%s", in: name, registry)))
                    #expect(abs(clock - Date().timeIntervalSince1970) < 5)
                }
                #expect(machines.count == 3 && machines.allSatisfy { $0.count == 32 })
                #expect(random.count == 3)
                for name in ["two", "three"] { #expect(try await say("hostname", in: name, registry) == name) }
                let records = try await host.database.events(after: 0, limit: 500).records
                #expect(!records.contains { "\($0.event)".contains("template-unusable") })
            }
        }
    }

    @Test(arguments: ["memory", "state"])
    func `a damaged template is not used`(file: String) async throws {
        try await withHost { fixture in
            var damaged = ""
            try await fixture.withRegistry(savesTemplates: true) { registry, _ in
                try await create("one", registry)
                damaged = try await savedTemplate(fixture)
                // A manifest is written last, but held memory is let go only when the library has ended.
                _ = try await registry.perform(.delete(grace: nil), on: "one")
            }
            let handle = try #require(FileHandle(forUpdatingAtPath: "\(damaged)/\(file)"))
            try handle.seek(toOffset: 4096)
            let octet = try #require(try handle.read(upToCount: 1)?.first)
            try handle.seek(toOffset: 4096)
            try handle.write(contentsOf: Data([octet ^ 1]))
            try handle.close()
            try await fixture.withRegistry(savesTemplates: true) { registry, _ in
                try await create("two", registry)
                #expect(!FileManager.default.fileExists(atPath: "\(damaged)/template.json"))
                let uptime = try await say("cut -d. -f1 /proc/uptime", in: "two", registry)
                #expect(try #require(Int(uptime)) < 60)
            }
        }
    }

    @Test func `a daemon that ends while it saves a guest leaves nothing behind`() async throws {
        try await withHost { fixture in
            var guest = ""
            try await fixture.withRegistry(savesTemplates: true) { registry, _ in
                try await create("one", registry)
                guest = try await guestBeingSaved(fixture)
            }
            #expect(!FileManager.default.fileExists(atPath: guest))
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.templatesFolder).isEmpty)
        }
    }

    @Test func `a copy that was never told who it is is started anew`() async throws {
        try await withHost { fixture in
            var directory = "", before = 0
            try await fixture.withRegistry(savesTemplates: true) { registry, _ in
                try await create("one", registry)
                let id = try await registry.vm("one").id
                directory = "\(fixture.folder)/vms/\(id)"
                before = try await ShimClient.connect(
                    to: VMDirectory(path: directory),
                    group: MultiThreadedEventLoopGroup.singleton
                ).status.qemuPID
            }
            try VMDirectory(path: directory).setNameless(true)
            try await fixture.withRegistry(savesTemplates: true) { registry, _ in
                let answer = try await registry.wait(
                    for: VMCondition(isAgentReady: true),
                    of: "one",
                    timeout: .seconds(60)
                )
                #expect(answer.reached)
                let shim = try await ShimClient.connect(
                    to: VMDirectory(path: directory),
                    group: MultiThreadedEventLoopGroup.singleton
                )
                #expect(shim.status.qemuPID != before)
                #expect(try !VMDirectory(path: directory).isNameless)
            }
        }
    }
}

import Foundation
import QEMU
import Store
import TestSupport
import Testing
import VirtualMachines
import WarrenModel

@Suite("VMRegistry", .timeLimit(.minutes(5)), .enabled(if: GuestPrerequisites.areMet))
struct VMRegistryTests {
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

    private func reach(
        _ condition: VMCondition,
        _ registry: VMRegistry,
        _ name: String = "one",
        timeout: Duration = .seconds(60)
    ) async throws -> VirtualMachine {
        let answer = try await registry.wait(for: condition, of: name, timeout: timeout)
        let vm = try #require(answer.vm)
        #expect(answer.reached, "\(vm.state) \(String(describing: vm.stateReason))")
        return vm
    }

    private func types(_ host: VMHost) async throws -> [EventType] {
        try await host.database.events(after: 0, limit: 500).records.map(\.event.type)
    }

    @Test func `a VM is made, runs programs, stops, starts, restarts and goes`() async throws {
        try await withHost { fixture in
            try await fixture.withRegistry { registry, host in
                let created = try await registry.create(try HostFixture.request())
                #expect(created.record.status.state == .starting && created.record.status.desiredState == .running)
                let vm = try await reach(VMCondition(state: .running, isAgentReady: true), registry)
                #expect(vm.accelerator == .tcg && vm.stateReason == nil)
                let answer = try await registry.exec(ExecRequest(command: ["echo", "hi"]), in: "one")
                #expect(answer.stdout == Array("hi\n".utf8))
                #expect(try await registry.perform(.start, on: "one").changed == false)

                #expect(try await registry.perform(.stop(grace: .seconds(10)), on: "one").changed)
                let stopped = try await reach(VMCondition(state: .stopped), registry)
                #expect(stopped.desiredState == .stopped && stopped.stateReason == nil)
                await #expect(throws: VMError.invalidTransition(from: .stopped, request: "exec")) {
                    try await registry.exec(ExecRequest(command: ["true"]), in: "one")
                }
                #expect(try await registry.perform(.start, on: "one").changed)
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry)
                _ = try await registry.perform(.restart(grace: nil), on: "one")
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry)
                #expect(try await !registry.consoleLog(of: "one", tail: 4096).isEmpty)

                let deleted = try await registry.perform(.delete(grace: nil), on: "one")
                #expect(deleted.record.status.state == .deleting)
                let gone = try await registry.wait(
                    for: VMCondition(state: .stopped),
                    of: "\(vm.id)",
                    timeout: .seconds(20)
                )
                #expect(!gone.reached)
                while try await registry.vm("\(vm.id)").deletedAt == nil { try await Task.sleep(for: .milliseconds(5)) }
                await #expect(throws: VMError.notFound("one")) { try await registry.vm("one") }
                #expect(!FileManager.default.fileExists(atPath: "\(fixture.folder)/vms/\(vm.id)"))
                let seen = try await types(host)
                for type in [EventType.created, .starting, .running, .stopping, .stopped, .restarted, .deleted] {
                    #expect(seen.contains(type), "\(type)")
                }
            }
        }
    }

    @Test func `a paused guest stands still, also over a restart of the daemon, and goes on`() async throws {
        try await withHost { fixture in
            func beats(_ registry: VMRegistry) async throws -> Int {
                let answer = try await registry.exec(
                    ExecRequest(command: ["cut", "-d.", "-f1", "/proc/uptime"]),
                    in: "one"
                )
                let text = String(decoding: answer.stdout, as: UTF8.self).trimmingCharacters(
                    in: .whitespacesAndNewlines
                )
                return try #require(Int(text))
            }
            var before = 0
            try await fixture.withRegistry { registry, _ in
                _ = try await registry.create(try HostFixture.request())
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry)
                before = try await beats(registry)
                #expect(try await registry.perform(.pause, on: "one").changed)
                #expect(try await reach(VMCondition(state: .paused), registry).desiredState == .paused)
                await #expect(throws: VMError.invalidTransition(from: .paused, request: "exec")) {
                    try await registry.exec(ExecRequest(command: ["true"]), in: "one")
                }
            }
            try await fixture.withRegistry { registry, host in
                #expect(try await registry.vm("one").status.state == .paused)
                #expect(try await registry.perform(.resume, on: "one").changed)
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry)
                #expect(try await beats(registry) < before + 60)
                _ = try await registry.perform(.pause, on: "one")
                _ = try await reach(VMCondition(state: .paused), registry)
                // A guest that stands still could not power itself off.
                _ = try await registry.perform(.stop(grace: .seconds(20)), on: "one")
                let stopped = try await reach(VMCondition(state: .stopped), registry)
                #expect(stopped.stateReason == nil)
                let seen = try await types(host)
                #expect(seen.contains(.paused) && seen.contains(.resumed))
            }
        }
    }

    @Test func `guests outlive the daemon, and what died meanwhile is told`() async throws {
        try await withHost { fixture in
            try await fixture.withRegistry { registry, _ in
                for name in ["one", "two"] {
                    _ = try await registry.create(
                        try HostFixture.request(#""name": "\#(name)", "restart": {"policy": "never"}"#)
                    )
                }
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry, "one")
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry, "two")
                _ = try await registry.exec(ExecRequest(command: ["touch", "/tmp/mark"]), in: "one")
            }
            // No daemon now: one guest panics, and a directory without a VM is left over.
            let host = try fixture.makeHost()
            let two = try #require(try await host.database.vm(named: "two"))
            try host.database.close()
            let directory = try VMDirectory(path: "\(fixture.folder)/vms/\(two.id)")
            let agent = GuestAgentClient(directory: directory, group: host.group)
            _ = try? await agent.exec(
                ExecRequest(command: ["sh", "-c", "echo c >/proc/sysrq-trigger"], timeout: .seconds(2))
            )
            await agent.close()
            while directory.isAlive { try await Task.sleep(for: .milliseconds(5)) }
            let orphan = "\(fixture.folder)/vms/\(VMID(now: host.now))"
            try FileManager.default.createDirectory(atPath: orphan, withIntermediateDirectories: true)

            try await fixture.withRegistry { registry, host in
                #expect(!FileManager.default.fileExists(atPath: orphan))
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry, "one")
                let mark = try await registry.exec(ExecRequest(command: ["ls", "/tmp/mark"]), in: "one")
                #expect(mark.exitCode == 0)
                let dead = try await registry.wait(for: VMCondition(state: .failed), of: "two", timeout: .seconds(20))
                #expect(dead.reached && dead.vm?.stateReason?.code == "guest-panicked")
                #expect(try await types(host).contains(.crashed))
                for name in ["one", "two"] { _ = try await registry.perform(.delete(grace: nil), on: name) }
                while try await !registry.list(VMFilter(), after: nil, limit: 10).isEmpty {
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
        }
    }

    @Test func `a crash is noticed at once and the policy applies`() async throws {
        try await withHost { fixture in
            try await fixture.withRegistry { registry, host in
                let policy = #""name": "one", "restart": {"policy": "on-failure", "maxRetries": 1}"#
                let created = try await registry.create(try HostFixture.request(policy))
                let directory = "\(fixture.folder)/vms/\(created.record.id)"
                for _ in 0..<2 {
                    _ = try await reach(VMCondition(state: .running), registry)
                    let process = try #require(
                        try await QEMUProcess.attach(to: VMDirectory(path: directory), group: host.group)
                    )
                    kill(pid_t(process.status.qemuPID), SIGKILL)
                    while try await registry.vm("one").status.state == .running {
                        try await Task.sleep(for: .milliseconds(5))
                    }
                }
                let failed = try await reach(VMCondition(state: .failed), registry)
                #expect(failed.stateReason?.code == "qemu-failed")
                #expect(failed.stateReason?.message.contains("signal 9") == true)
                #expect(try await types(host).filter { $0 == .crashed }.count == 2)
            }
        }
    }

    @Test func `a guest that powers itself off stays off, one that reboots comes back`() async throws {
        try await withHost { fixture in
            try await fixture.withRegistry { registry, host in
                _ = try await registry.create(try HostFixture.request())
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry)
                _ = try? await registry.exec(ExecRequest(command: ["reboot"]), in: "one")
                while try await !types(host).contains(.restarted) { try await Task.sleep(for: .milliseconds(20)) }
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry)
                #expect(try await !types(host).contains(.crashed))
                _ = try? await registry.exec(ExecRequest(command: ["poweroff"]), in: "one")
                let off = try await reach(VMCondition(state: .stopped), registry)
                #expect(off.stateReason?.code == "guest-powered-off")
            }
        }
    }

    @Test func `a guest that never comes up is not restarted for ever`() async throws {
        try await withHost { fixture in
            try await fixture.withRegistry { registry, _ in
                let members = #""name": "one", "kernelArgs": "rdinit=/nonexistent", "restart": {"policy": "never"}"#
                _ = try await registry.create(try HostFixture.request(members))
                let failed = try await registry.wait(for: VMCondition(state: .failed), of: "one", timeout: .seconds(60))
                #expect(failed.reached && failed.vm?.stateReason?.code == "guest-boot-failed")
            }
        }
    }

    @Test func `the link follows the node`() async throws {
        try await withHost { fixture in
            try await fixture.withRegistry { registry, _ in
                let created = try await registry.create(
                    try HostFixture.request(#""name": "one", "networkInterface": {}"#)
                )
                let node = fixture.nodes.node(of: created.record.id)
                _ = try await reach(VMCondition(state: .running, isAgentReady: true), registry)
                func carrier(_ digit: String) async throws -> Bool {
                    let script =
                        "for i in $(seq 100); do [ $(cat /sys/class/net/eth0/carrier) = \(digit) ] && exit 0; sleep 0.05; done; exit 1"
                    return try await registry.exec(ExecRequest(command: ["sh", "-c", script]), in: "one").exitCode == 0
                }
                #expect(try await carrier("0"))
                await node.enter(.needsLogin, loginURL: "https://login.example.com/a/1")
                #expect(try await reach(VMCondition(isLoginSettled: true), registry).network?.state == .needsLogin)
                await node.enter(.running, addresses: ["100.64.0.7"])
                let running = try await reach(VMCondition(network: .running), registry)
                #expect(running.network?.addresses == ["100.64.0.7"])
                #expect(try await carrier("1"))
                await node.enter(.stopped)
                _ = try await reach(VMCondition(network: .stopped), registry)
                #expect(try await carrier("0"))
            }
        }
    }

    @Test func `what cannot be is refused, and nothing is half made`() async throws {
        try await withHost { fixture in
            try await fixture.withRegistry(maxCount: 2, maxMemoryMiB: 256) { registry, _ in
                let stopped = #""name": "one", "autostart": false"#
                _ = try await registry.create(try HostFixture.request(stopped))
                await #expect(throws: VMError.nameTaken("one")) {
                    try await registry.create(try HostFixture.request(stopped))
                }
                let image = await #expect(throws: VMError.self) {
                    try await registry.create(
                        try HostFixture.request(#""name": "x", "image": "none", "memoryMiB": 64"#)
                    )
                }
                guard case .invalidSpec(let faults) = image else { return #expect(Bool(false)) }
                #expect(faults.map(\.pointer) == ["/image"])
                let big = await #expect(throws: VMError.self) {
                    try await registry.create(try HostFixture.request(#""name": "x", "memoryMiB": 300"#))
                }
                guard case .capacityExceeded(let reason) = big else { return #expect(Bool(false)) }
                #expect(reason.code == "vm-memory")
                _ = try await registry.create(try HostFixture.request(#""name": "two", "autostart": false"#))
                await #expect(throws: VMError.self) {
                    try await registry.create(try HostFixture.request(#""name": "three", "autostart": false"#))
                }
                #expect(try await registry.list(VMFilter(), after: nil, limit: 10).count == 2)
                await #expect(throws: VMError.notFound("nobody")) { try await registry.perform(.start, on: "nobody") }
            }
        }
    }

    @Test func `deletes while it starts`() async throws {
        try await withHost { fixture in
            try await fixture.withRegistry { registry, _ in
                let created = try await registry.create(try HostFixture.request())
                _ = try await registry.perform(.delete(grace: nil), on: "one")
                while try await registry.vm("\(created.record.id)").deletedAt == nil {
                    try await Task.sleep(for: .milliseconds(5))
                }
                #expect(!FileManager.default.fileExists(atPath: "\(fixture.folder)/vms/\(created.record.id)"))
            }
        }
    }

    @Test func `without QEMU a VM fails and says so`() async throws {
        let fixture = try HostFixture(qemu: "/no/such/qemu")
        try await fixture.withRegistry { registry, _ in
            _ = try await registry.create(try HostFixture.request())
            let failed = try await registry.wait(for: VMCondition(state: .failed), of: "one", timeout: .seconds(20))
            #expect(failed.reached && failed.vm?.stateReason?.code == "qemu-missing")
        }
    }
}

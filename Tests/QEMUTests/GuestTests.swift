import Foundation
import Logging
import NIOPosix
import QEMU
import Synchronization
import TestSupport
import Testing
import WarrenModel

@Suite("Guests", .timeLimit(.minutes(5)), .enabled(if: GuestPrerequisites.areMet))
struct GuestTests {
    @Test func `boots to its agent, runs programs and powers off`() async throws {
        try await Guest.run { guest in
            let agent = guest.agent
            try await agent.waitUntilReady(timeout: .seconds(60))
            let answer = try await guest.shell(agent, "uname -s; cat >&2")
            #expect(answer.exitCode == 0 && answer.stdout == Array("Linux\n".utf8) && answer.stderr.isEmpty)

            let request = ExecRequest(
                command: ["sh", "-c", "cat; echo $WORD; pwd; id -u >&2; exit 7"],
                environment: ["WORD": "héllo"],
                workingDirectory: "/tmp",
                userID: 5,
                groupID: 6,
                standardInput: Array("in ".utf8)
            )
            let rich = try await agent.exec(request)
            #expect(String(decoding: rich.stdout, as: UTF8.self) == "in héllo\n/tmp\n")
            #expect(rich.exitCode == 7 && rich.stderr == Array("5\n".utf8))

            let slow = try await guest.shell(agent, "sleep 60", timeout: .milliseconds(200))
            #expect(slow.timedOut && slow.exitCode == nil && slow.signal == 9)
            let long = try await guest.shell(agent, "head -c 3000000 /dev/zero")
            #expect(long.truncated && long.stdout.count == ExecAnswer.outputLimit)
            await #expect(throws: QEMUError.self) { try await agent.exec(ExecRequest(command: ["/no/such/program"])) }
            #expect(try await agent.hostName() == "micro")

            try await agent.shutdown()
            let exit = await guest.process.exit()
            #expect(exit.cause == .guestPoweredOff && exit.duration > .zero && exit.maxResidentKiB > 0)
            #expect(guest.directory.exitReport == exit && !guest.directory.isAlive)
        }
    }

    @Test func `the power button ends it, and the link can be taken and given`() async throws {
        try await Guest.run { guest in
            let monitor = try await QMPClient.connect(
                to: guest.directory,
                group: MultiThreadedEventLoopGroup.singleton
            ) { _ in }
            #expect(try await monitor.queryStatus() == .running)
            #expect(try await monitor.queryVersion().contains("."))
            try await monitor.setLink(up: false)
            let agent = guest.agent
            try await agent.waitUntilReady(timeout: .seconds(60))
            let carrier = "cat /sys/class/net/eth0/carrier; pidof udhcpc"
            #expect(try await guest.shell(agent, carrier).stdout == Array("0\n".utf8))
            try await monitor.setLink(up: true)
            let raised = try await guest.shell(
                agent,
                "for i in $(seq 100); do [ $(cat /sys/class/net/eth0/carrier) = 1 ] && pidof udhcpc && exit 0; sleep 0.05; done; exit 1"
            )
            #expect(raised.exitCode == 0)
            // The button's driver is loaded after the agent has started.
            _ = try await guest.shell(agent, "until [ -e /dev/input/event0 ]; do sleep 0.05; done; sleep 0.3")
            try await monitor.systemPowerdown()
            #expect(await guest.process.exit().cause == .guestPoweredOff)
        }
    }

    @Test func `keeps the end of a console that overflows, and nothing of its size`() async throws {
        try await Guest.run(consoleLogKiB: 64) { guest in
            let agent = guest.agent
            try await agent.waitUntilReady(timeout: .seconds(60))
            let answer = try await guest.shell(
                agent,
                "for i in $(seq 3000); do echo line $i of a guest that talks a lot; done >/dev/console; echo the end >/dev/console"
            )
            #expect(answer.exitCode == 0)
            try await agent.shutdown()
            _ = await guest.process.exit()
            let log = try guest.directory.consoleLog(tail: 1 << 20)
            #expect(log.count <= 64 << 10 && log.count > 8 << 10)
            #expect(String(decoding: log, as: UTF8.self).contains("the end"))
        }
    }

    @Test func `a panic is told from a power-off, and a reboot from both`() async throws {
        try await Guest.run { guest in
            let events = Mutex<[QMPEvent]>.Reference()
            let monitor = try await QMPClient.connect(
                to: guest.directory,
                group: MultiThreadedEventLoopGroup.singleton
            ) { event in events.value.withLock { $0.append(event) } }
            let agent = guest.agent
            try await agent.waitUntilReady(timeout: .seconds(60))
            _ = try? await agent.exec(
                ExecRequest(command: ["sh", "-c", "echo c >/proc/sysrq-trigger"], timeout: .seconds(5))
            )
            let exit = await guest.process.exit()
            #expect(exit.cause == .guestPanicked)
            #expect(events.value.withLock { $0 }.contains(.shutdown(byGuest: true, reason: "guest-panic")))
            await monitor.close()
        }
        try await Guest.run { guest in
            let agent = guest.agent
            try await agent.waitUntilReady(timeout: .seconds(60))
            try await agent.shutdown(.reboot)
            #expect(await guest.process.exit().cause == .guestReset)
        }
    }

    @Test func `a killed QEMU is noticed, a killed shim takes its QEMU along`() async throws {
        try await Guest.run { guest in
            kill(pid_t(guest.process.status.qemuPID), SIGKILL)
            let exit = await guest.process.exit()
            #expect(exit.cause == .failed && exit.signal == 9)
            #expect(exit.summary == "QEMU was ended by signal 9.")
        }
        try await Guest.run { guest in
            kill(pid_t(guest.process.status.shimPID), SIGKILL)
            #expect(await guest.process.exit() == .unseen)
            #expect(!guest.directory.isAlive)
            // The kernel frees a dead shim's lock a moment before it tells the child of the death.
            var answers = true
            for _ in 0..<500 where answers {
                let monitor = try? await QMPClient.connect(
                    to: guest.directory,
                    group: MultiThreadedEventLoopGroup.singleton
                ) { _ in }
                answers = monitor != nil
                await monitor?.close()
                if answers { try await Task.sleep(for: .milliseconds(10)) }
            }
            #expect(!answers)
        }
    }

    @Test func `one that forgot it takes it up again; only one may start it`() async throws {
        try await Guest.run { guest in
            guest.process.detach()
            let again = try #require(
                try await QEMUProcess.attach(to: guest.directory, group: MultiThreadedEventLoopGroup.singleton)
            )
            #expect(again.status == guest.process.status)
            // Whoever let go hears no end, and one who waits can be called off.
            #expect(await guest.process.exit() == .unseen)
            let third = try #require(
                try await QEMUProcess.attach(to: guest.directory, group: MultiThreadedEventLoopGroup.singleton)
            )
            let waiting = Task { await third.exit() }
            waiting.cancel()
            #expect(await waiting.value == .unseen && guest.directory.isAlive)
            try await guest.agent.waitUntilReady(timeout: .seconds(60))
            let configuration = QEMUProcess.Configuration(
                shim: try #require(GuestPrerequisites.shim),
                qemu: try #require(GuestPrerequisites.qemu),
                consoleLogKiB: 64
            )
            await #expect(throws: QEMUError.alreadyRunning) {
                _ = try await QEMUProcess.launch(
                    QEMULaunch(memoryMiB: 64, kernel: "/dev/null"),
                    as: .daemon,
                    in: guest.directory,
                    configuration: configuration,
                    group: MultiThreadedEventLoopGroup.singleton
                )
            }
            again.kill()
            let exit = await again.exit()
            #expect(exit.requested == "kill" && exit.cause == .requested)
            #expect(
                try await QEMUProcess.attach(to: guest.directory, group: MultiThreadedEventLoopGroup.singleton) == nil
            )
        }
    }

    @Test func `is confined`() async throws {
        try await Guest.run { guest in
            let pid = guest.process.status.qemuPID
            let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            func field(_ name: String) -> [Substring] {
                status.split(separator: "\n").first { $0.hasPrefix(name + ":") }?.split(whereSeparator: {
                    $0 == "\t" || $0 == " "
                }) ?? []
            }
            #expect(field("NoNewPrivs").last == "1" && field("Seccomp").last == "2")
            for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                #expect(field(set).last.flatMap { UInt64($0, radix: 16) } == 0)
            }
            if geteuid() == 0 {
                #expect(Set(field("Uid").dropFirst()).count == 1 && field("Uid").last != "0")
                #expect(guest.directory.owner.map(String.init) == field("Uid").last.map(String.init))
            }
            if guest.process.status.confinement == "namespaces" {
                let root = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/root/etc")
                #expect(root == ["ld.so.cache"])
                #expect(
                    try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
                        == "\(guest.folder)/run"
                )
                #expect(
                    try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/net")
                        != FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/net")
                )
            }
            #expect(guest.process.status.confinement != "landlock")
        }
    }

    @Test func `says why a guest does not start`() async throws {
        let folder = try GuestPrerequisites.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let directory = try VMDirectory(path: folder)
        func launch(kernel: String, qemu: String) async throws {
            _ = try await QEMUProcess.launch(
                QEMULaunch(memoryMiB: 64, kernel: kernel),
                as: geteuid() == 0 ? .own(uid: 60999) : .daemon,
                in: directory,
                configuration: .init(shim: try #require(GuestPrerequisites.shim), qemu: qemu, consoleLogKiB: 64),
                group: MultiThreadedEventLoopGroup.singleton
            )
        }
        let qemu = try #require(GuestPrerequisites.qemu)
        let missing = await #expect(throws: QEMUError.self) { try await launch(kernel: "/no/such/kernel", qemu: qemu) }
        guard case .launchFailed(let detail) = missing else {
            return #expect(Bool(false), "\(String(describing: missing))")
        }
        #expect(detail.contains("/no/such/kernel"))
        await #expect(throws: QEMUError.self) { try await launch(kernel: "/dev/null", qemu: "/no/such/qemu") }
        #expect(!directory.isAlive)
    }

    @Test func `KVM counts only when a kernel boots on it`() async throws {
        try await GuestSlots.shared.run {
            let images = try GuestPrerequisites.images.get()
            let installation = try await QEMUInstallation.find(try #require(GuestPrerequisites.qemu))
            let kernel = "\(images)/micro/vmlinux"
            let automatic = AcceleratorProbe(setting: .auto, logger: .init(label: "test"))
            let found = try await automatic.accelerator(for: installation, kernel: kernel)
            let demanded = AcceleratorProbe(setting: .kvm, logger: .init(label: "test"))
            if found == .tcg {
                await #expect(throws: QEMUError.self) {
                    try await demanded.accelerator(for: installation, kernel: kernel)
                }
            } else {
                #expect(try await demanded.accelerator(for: installation, kernel: kernel) == .kvm)
            }
            let plain = AcceleratorProbe(setting: .tcg, logger: .init(label: "test"))
            #expect(try await plain.accelerator(for: installation, kernel: kernel) == .tcg)
        }
    }
}

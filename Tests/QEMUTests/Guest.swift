import Foundation
import NIOPosix
import QEMU
import TestSupport
import Testing
import WarrenModel

/// A guest of the micro image in a folder of its own, gone when the test is.
struct Guest {
    let folder: String
    let directory: VMDirectory
    let process: QEMUProcess

    static func run(consoleLogKiB: Int = 64, _ body: (Guest) async throws -> Void) async throws {
        try await GuestSlots.shared.run {
            let folder = try GuestPrerequisites.temporaryFolder()
            let directory = try VMDirectory(path: folder)
            let images = try GuestPrerequisites.images.get()
            let manifest = try JSONTree(
                parsing: Array(Data(contentsOf: URL(fileURLWithPath: "\(images)/micro/image.json")))
            )
            let launch = QEMULaunch(
                memoryMiB: 128,
                kernel: "\(images)/micro/vmlinux",
                initramfs: "\(images)/micro/initramfs.cpio",
                kernelArguments: manifest["kernelArguments"]?.string ?? ""
            )
            let process = try await QEMUProcess.launch(
                launch,
                as: geteuid() == 0 ? .own(uid: UInt32.random(in: 60578...61183)) : .daemon,
                in: directory,
                configuration: .init(
                    shim: try #require(GuestPrerequisites.shim),
                    qemu: try #require(GuestPrerequisites.qemu),
                    consoleLogKiB: consoleLogKiB
                ),
                group: MultiThreadedEventLoopGroup.singleton
            )
            let guest = Guest(folder: folder, directory: directory, process: process)
            do {
                try await body(guest)
            } catch {
                Issue.record(
                    "console: \(String(decoding: (try? directory.consoleLog(tail: 2000)) ?? [], as: UTF8.self))"
                )
                await guest.end()
                throw error
            }
            await guest.end()
        }
    }

    private func end() async {
        if let left = try? await QEMUProcess.attach(to: directory, group: MultiThreadedEventLoopGroup.singleton) {
            left.kill()
            _ = await left.exit()
        }
        try? FileManager.default.removeItem(atPath: folder)
    }

    var agent: GuestAgentClient { GuestAgentClient(directory: directory, group: MultiThreadedEventLoopGroup.singleton) }

    func shell(_ agent: GuestAgentClient, _ line: String, timeout: Duration = .seconds(30)) async throws -> ExecAnswer {
        try await agent.exec(ExecRequest(command: ["sh", "-c", line], timeout: timeout))
    }
}

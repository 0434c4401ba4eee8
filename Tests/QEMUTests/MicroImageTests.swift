import Foundation
import TestSupport
import Testing
import WarrenModel

@Suite("The micro image", .timeLimit(.minutes(5)), .enabled(if: GuestPrerequisites.areMet))
struct MicroImageTests {
    private func manifest(_ folder: String) throws -> JSONTree {
        try JSONTree(parsing: Array(Data(contentsOf: URL(fileURLWithPath: "\(folder)/micro/image.json"))))
    }

    @Test func `the same inputs give the same bytes`() throws {
        let first = try GuestPrerequisites.images.get()
        let second = try GuestPrerequisites.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: second) }
        let build = Process()
        build.executableURL = URL(fileURLWithPath: "\(GuestPrerequisites.packageRoot)/deploy/images/micro/build.sh")
        build.arguments = [second]
        build.standardOutput = FileHandle.nullDevice
        try build.run()
        build.waitUntilExit()
        #expect(build.terminationStatus == 0)
        let (old, new) = (try manifest(first), try manifest(second))
        // An image of other packages says nothing about this.
        guard old["inputs"] == new["inputs"] else { return }
        #expect(old == new)
        for file in ["vmlinux", "initramfs.cpio"] {
            let (one, other) = ("\(first)/micro/\(file)", "\(second)/micro/\(file)")
            #expect(FileManager.default.contentsEqual(atPath: one, andPath: other))
        }
    }
}

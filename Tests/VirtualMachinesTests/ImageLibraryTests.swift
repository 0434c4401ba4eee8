import Foundation
import Testing
import VirtualMachines

@Suite("ImageLibrary")
struct ImageLibraryTests {
    /// A folder of images that goes with the test.
    final class Folder {
        let path = FileManager.default.temporaryDirectory.path + "/images-" + UUID().uuidString
        deinit {
            // Nothing can be done about a folder that will not go.
            try? FileManager.default.removeItem(atPath: path)
        }

        func write(_ manifest: String, kernel: String = "kernel", image: String = "small") throws {
            let folder = path + "/" + image
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data(manifest.utf8).write(to: URL(fileURLWithPath: folder + "/image.json"))
            try Data(kernel.utf8).write(to: URL(fileURLWithPath: folder + "/vmlinux"))
            try Data("initramfs".utf8).write(to: URL(fileURLWithPath: folder + "/initramfs.cpio"))
        }
    }

    private func manifest(kernelFile: String = "vmlinux", byteCount: Int = 6) -> String {
        """
        {"format": 1, "name": "small", "architecture": "x86_64", "kernelArguments": "quiet", "minimumMemoryMiB": 64,
         "kernel": {"file": "\(kernelFile)", "byteCount": \(byteCount),
                    "sha256": "e8f0a5c84f9a4b1f3b0a2b1e3c1e0b1a"},
         "initramfs": {"file": "initramfs.cpio", "byteCount": 9, "sha256": "00"}}
        """
    }

    @Test func `an image that is complete is found in the first folder that has it`() throws {
        let folder = Folder()
        try folder.write(manifest())
        let library = ImageLibrary(directories: ["/nonexistent", folder.path])
        #expect(try library.image(named: "small").manifest.minimumMemoryMiB == 64)
        #expect(library.names() == ["small"])
    }

    @Test func `a file with other contents than the manifest's digest is damaged`() async throws {
        let folder = Folder()
        try folder.write(manifest())
        let library = ImageLibrary(directories: [folder.path])
        let image = try library.image(named: "small")
        await #expect(throws: ImageError.damaged("small", file: "vmlinux")) { try await library.verify(image) }
    }

    @Test func `what is missing, malformed or of another size is named`() throws {
        let folder = Folder()
        let library = ImageLibrary(directories: [folder.path])
        #expect(throws: ImageError.notFound("small")) { try library.image(named: "small") }
        #expect(throws: ImageError.notFound("../small")) { try library.image(named: "../small") }
        try folder.write("{not json")
        #expect(throws: ImageError.unreadable("small", file: "image.json")) { try library.image(named: "small") }
        try folder.write(manifest(kernelFile: "../../etc/shadow"))
        #expect(throws: ImageError.unreadable("small", file: "image.json")) { try library.image(named: "small") }
        try folder.write(manifest(kernelFile: "missing"))
        #expect(throws: ImageError.unreadable("small", file: "missing")) { try library.image(named: "small") }
        try folder.write(manifest(byteCount: 7))
        #expect(throws: ImageError.damaged("small", file: "vmlinux")) { try library.image(named: "small") }
    }
}

import FoundationEssentials
import Glibc
import Synchronization
package import WarrenModel

/// The guest images on this host: one folder each, with an `image.json` that names its files and their digests.
package final class ImageLibrary: Sendable {
    /// Where images are looked for, in order; the first that has a name wins.
    package let directories: [String]
    private let checked = Mutex<[String: FileIdentity]>([:])

    /// A library over these folders; those that do not exist hold no images.
    package init(directories: [String]) {
        self.directories = directories
    }

    /// The image of this name, with its manifest read and its files present.
    ///
    /// - Throws: `ImageError` that names what is missing or malformed.
    package func image(named name: String) throws(ImageError) -> Image {
        guard DNSLabel(name) != nil else { throw .notFound(name) }
        for directory in directories {
            let folder = directory + "/" + name
            let path = folder + "/image.json"
            guard access(path, F_OK) == 0 else { continue }
            let manifest: ImageManifest
            do {
                let text = try Data(contentsOf: URL(filePath: path))
                guard text.count <= Self.manifestByteLimit else {
                    throw ImageError.unreadable(name, file: "image.json")
                }
                manifest = try ModelJSON.decode(ImageManifest.self, from: text)
            } catch {
                throw .unreadable(name, file: "image.json")
            }
            guard manifest.format == 1, manifest.architecture == "x86_64" else { throw .unsupported(name) }
            let image = Image(name: name, folder: folder, manifest: manifest)
            for file in [manifest.kernel, manifest.initramfs] {
                // A manifest is data: its file names may not lead out of the image's folder.
                guard !file.file.isEmpty, !file.file.contains("/"), file.file != ".." else {
                    throw .unreadable(name, file: "image.json")
                }
                guard let identity = FileIdentity(path: image.path(of: file)), access(image.path(of: file), R_OK) == 0
                else {
                    throw .unreadable(name, file: file.file)
                }
                guard identity.byteCount == file.byteCount else { throw .damaged(name, file: file.file) }
            }
            return image
        }
        throw .notFound(name)
    }

    /// Reads an image's files and compares their digests; a file that did not change since it was found good is not read again.
    ///
    /// - Throws: `ImageError.damaged` or `.unreadable`.
    @concurrent
    package func verify(_ image: Image) async throws(ImageError) {
        for file in [image.manifest.kernel, image.manifest.initramfs] {
            let path = image.path(of: file)
            guard let identity = FileIdentity(path: path) else { throw .unreadable(image.name, file: file.file) }
            if checked.withLock({ $0[path] }) == identity { continue }
            guard let digest = FileDigest.sha256(path: path) else { throw .unreadable(image.name, file: file.file) }
            guard digest == file.sha256.lowercased() else { throw .damaged(image.name, file: file.file) }
            checked.withLock { $0[path] = identity }
        }
    }

    /// The names of all images, sorted.
    package func names() -> [String] {
        var names: Set<String> = []
        for directory in directories {
            // A folder that is missing holds no images.
            for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            where access(directory + "/" + name + "/image.json", R_OK) == 0 {
                names.insert(name)
            }
        }
        return names.sorted()
    }

    // A manifest of a few hundred octets is usual; a megabyte is no manifest.
    private static let manifestByteLimit = 1 << 20
}

/// One image on this host.
package struct Image: Hashable, Sendable {
    /// Its name, the folder's.
    package let name: String
    /// Where its files are.
    package let folder: String
    /// What it says of itself.
    package let manifest: ImageManifest

    /// The path of one of its files.
    package func path(of file: ImageManifest.File) -> String { folder + "/" + file.file }
}

/// The `image.json` of an image.
package struct ImageManifest: Hashable, Sendable, Codable {
    /// A file of the image, by its name in the image's folder.
    package struct File: Hashable, Sendable, Codable {
        /// The name in the folder.
        package let file: String
        /// How long it is.
        package let byteCount: Int64
        /// 64 hex digits.
        package let sha256: String
    }

    /// The version of this format, 1.
    package let format: Int
    /// What the image calls itself.
    package let name: String
    /// The processors that it runs on, `x86_64`.
    package let architecture: String
    /// The kernel.
    package let kernel: File
    /// The initial file system.
    package let initramfs: File
    /// What every kernel command line begins with.
    package let kernelArguments: String
    /// With less the guest does not come up.
    package let minimumMemoryMiB: Int
    /// Which guest agent answers: `warren`, `qemu-ga`, or absent for none.
    package let agent: String?
    /// `false` when guests of this image must not begin as copies of a saved one.
    package let template: Bool?

    /// Whether a saved guest of this image may be copied: its agent has to tell each copy who it is.
    package var allowsTemplates: Bool { agent == "warren" && template != false }
}

/// Why an image cannot be used.
package enum ImageError: Error, Hashable, Sendable {
    /// No folder has an image of this name.
    case notFound(String)
    /// A file is missing, malformed or forbidden.
    case unreadable(String, file: String)
    /// A file is not the one that the manifest names.
    case damaged(String, file: String)
    /// The format or the architecture is another one.
    case unsupported(String)

    /// The reason as a VM shows it.
    package var reason: StateReason {
        switch self {
        case .notFound(let name):
            StateReason(code: "image-not-found", message: "There is no image named \(name); `make image` builds micro.")
        case .unreadable(let name, let file):
            StateReason(code: "image-unreadable", message: "The file \(file) of image \(name) cannot be read.")
        case .damaged(let name, let file):
            StateReason(
                code: "image-damaged",
                message: "The file \(file) of image \(name) is not the one its manifest names."
            )
        case .unsupported(let name):
            StateReason(
                code: "image-unsupported",
                message: "Image \(name) is of a format or an architecture that is not served."
            )
        }
    }
}

import FoundationEssentials
import QEMU
import WarrenModel

/// Everything that a saved guest depends on: a copy fits a guest of exactly the same shape.
package struct TemplateShape: Hashable, Sendable, Codable {
    /// The image's name, for people.
    let image: String
    /// The digests of the image's files.
    let kernelSHA256: String
    let initramfsSHA256: String
    /// QEMU's version, and the file it is.
    let qemuVersion: String
    let qemuByteCount: Int64
    let qemuChangedNanoseconds: Int64
    /// What the guest has, also in the arguments below.
    let memoryMiB: Int
    /// QEMU's whole command line: it would accept another number of processors without a word.
    let arguments: [String]

    /// The shape of a guest that would be launched like this; nil when its files are not there.
    init?(_ launch: QEMULaunch, image: Image, installation: QEMUInstallation) {
        guard let program = FileIdentity(path: installation.path) else { return nil }
        self.image = image.name
        kernelSHA256 = image.manifest.kernel.sha256
        initramfsSHA256 = image.manifest.initramfs.sha256
        qemuVersion = installation.version
        qemuByteCount = program.byteCount
        qemuChangedNanoseconds = program.changedNanoseconds
        memoryMiB = launch.memoryMiB
        arguments = QEMUArguments.build(launch, name: "template")
    }

    /// The name of the template's folder: 16 hex digits, because sockets in it have short paths.
    var key: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Strings and numbers always have a JSON form.
        let text = (try? encoder.encode(self)) ?? Data()
        return String(FileDigest.sha256(of: Array(text)).prefix(16))
    }
}

/// The `template.json` of a saved guest, written last: without it there is no template.
struct TemplateManifest: Codable {
    /// The version of this format.
    static let currentFormat = 1

    var format = currentFormat
    /// What was saved.
    let shape: TemplateShape
    /// The digest of the file `memory`.
    let memorySHA256: String
    /// The digest of the file `state`.
    let stateSHA256: String
}

/// A saved guest that copies can be made of.
package struct Template: Hashable, Sendable {
    /// Its shape.
    let shape: TemplateShape
    /// Its folder.
    let folder: String

    /// What the memory is made anew from after a restart of the host.
    var memoryPath: String { folder + "/memory" }
    /// The state of its devices.
    var statePath: String { folder + "/state" }
    /// What tells that it is whole.
    var manifestPath: String { folder + "/template.json" }
}

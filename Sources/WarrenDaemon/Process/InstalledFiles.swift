import Glibc

/// Where the parts of the product that are no code of the daemon stand, seen from its executable.
struct InstalledFiles: Sendable {
    private let folder: String

    /// Looks from the folder of this process's executable.
    init() {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &bytes, bytes.count)
        let path = String(decoding: bytes.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }

    /// `warren-shim`: in `libexec/warren` of the prefix, or beside the daemon in a build folder.
    var shim: String {
        let installed = folder + "/../libexec/warren/warren-shim"
        return access(installed, X_OK) == 0 ? installed : folder + "/warren-shim"
    }

    /// Where images are looked for: the state directory first, then the prefix, then the build folder.
    func imageDirectories(state: StateDirectory) -> [String] {
        [state.images, folder + "/../share/warren/images", folder + "/../images", folder + "/../../images"]
    }
}

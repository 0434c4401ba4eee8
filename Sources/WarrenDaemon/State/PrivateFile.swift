import Glibc

/// Small files that only this user reads, replaced whole.
enum PrivateFile {
    /// The first line, without what is around it; nil when there is none to read.
    static func line(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        let line = String(decoding: bytes.prefix(max(0, count)).prefix { $0 > 0x20 }, as: UTF8.self)
        return line.isEmpty ? nil : line
    }

    /// Writes a file of mode 0600 beside the old one and puts it in its place, so that readers see one or the other.
    /// - Throws: `DaemonError.stateUnusable`.
    static func write(_ text: String, to path: String) throws(DaemonError) {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        let bytes = Array(text.utf8)
        let isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        guard close(descriptor) == 0, isWritten, rename(temporary, path) == 0 else {
            let error = failure(path)
            unlink(temporary)
            throw error
        }
    }

    private static func failure(_ path: String) -> DaemonError {
        .stateUnusable(path: path, reason: "cannot be written: \(SystemError.text(errno))")
    }
}

import Glibc
import WarrenCrypto

/// The SHA-256 of files.
enum FileDigest {
    /// The digest of the file at `path` as 64 hex digits; nil when it cannot be read.
    static func sha256(path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var hash = SHA256()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 { return nil }
            if count == 0 { break }
            hash.update(buffer.span.extracting(first: count))
        }
        return HexText.text(hash.finalize())
    }

    /// The digest of `octets` as 64 hex digits.
    static func sha256(of octets: [UInt8]) -> String { HexText.text(SHA256.hash(octets.span)) }
}

/// What tells that a file is still the one that was looked at.
struct FileIdentity: Hashable, Sendable {
    /// The file system.
    let device: UInt
    /// The file in it.
    let inode: UInt
    /// Its length.
    let byteCount: Int64
    /// When its contents or its attributes changed last.
    let changedNanoseconds: Int64

    /// Looks at the file at `path`; nil when there is none.
    init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
        byteCount = Int64(status.st_size)
        changedNanoseconds = Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec)
    }

    /// How much of the disk the file at `path` takes, holes not counted; nil when there is none.
    static func allocatedBytes(path: String) -> Int64? {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_blocks) * 512 : nil
    }
}

import Glibc
import Synchronization

/// The lock that one daemon at a time holds on a state directory; it ends with the process, however that ends.
package final class DaemonLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock and writes who holds it.
    /// - Throws: `DaemonError.alreadyRunning` with the holder's own words, or `.stateUnusable`.
    package init(path: String, holder: String) throws(DaemonError) {
        // Close-on-exec: a VM's shim outlives the daemon and must not keep its lock.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw .stateUnusable(path: path, reason: "cannot be opened: \(SystemError.text(errno))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            let other = Self.contents(of: descriptor)
            close(descriptor)
            guard code == EWOULDBLOCK else {
                throw .stateUnusable(path: path, reason: "cannot be locked: \(SystemError.text(code))")
            }
            throw .alreadyRunning(lock: path, holder: other.isEmpty ? "another process" : other)
        }
        self.descriptor = descriptor
        let line = Array((holder + "\n").utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, line, line.count, 0) == line.count else {
            throw .stateUnusable(path: path, reason: "cannot be written: \(SystemError.text(errno))")
        }
    }

    deinit { close(descriptor) }

    private static func contents(of descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 10 && $0 >= 0x20 }, as: UTF8.self)
    }
}

import CLinux
import Glibc
package import NIOCore
import NIOPosix
import WarrenModel

/// The directory of one VM: its lock, the shim's report, and QEMU's sockets and console log.
///
/// `run/` belongs to QEMU, so what stands in it is not trusted: nothing there is followed as a link.
package final class VMDirectory: Sendable {
    /// What stands in the directory.
    package enum Entry: String, Hashable, Sendable, CaseIterable {
        /// Held while the shim lives.
        case lock
        /// How the last run ended.
        case exitReport = "exit.json"
        /// The shim's socket.
        case control = "shim.sock"
        /// QEMU's working directory.
        case run
        /// The monitor's socket.
        case monitor = "run/qmp.sock"
        /// The socket to the agent in the guest.
        case agent = "run/agent.sock"
        /// The socket of the serial console.
        case console = "run/console.sock"
        /// The socket of the NIC's frames.
        case nic = "run/net.sock"
        /// The end of what the guest wrote to its console.
        case consoleLog = "run/console.log"
        /// Where a guest that is saved sends the state of its devices.
        case stateSink = "run/state.sock"
        /// Stands there while a clone does not know yet who it is.
        case nameless
    }

    /// The directory's path.
    package let path: String
    private let descriptor: CInt

    /// Opens the directory at `path`.
    ///
    /// - Throws: `QEMUError.directory`.
    package init(path: String) throws(QEMUError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw .directory(path: path, errno: errno) }
    }

    /// Makes the directory (mode 0700) when it is missing, and opens it.
    ///
    /// - Throws: `QEMUError.directory`.
    package static func create(path: String) throws(QEMUError) -> VMDirectory {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw .directory(path: path, errno: errno) }
        return try VMDirectory(path: path)
    }

    deinit { close(descriptor) }

    /// The last part of the path.
    package var name: String { path.split(separator: "/").last.map(String.init) ?? "vm" }

    /// A path of `entry` that fits a socket address; it holds as long as this object lives.
    package func path(of entry: Entry) -> String {
        let plain = "\(path)/\(entry.rawValue)"
        // sun_path has 108 octets, the last of which is NUL.
        return plain.utf8.count <= 107 ? plain : "/proc/self/fd/\(descriptor)/\(entry.rawValue)"
    }

    /// Whether a shim lives: it holds the lock as long as it does.
    package var isAlive: Bool {
        let lock = openat(descriptor, Entry.lock.rawValue, O_RDWR | O_NOFOLLOW | O_CLOEXEC)
        guard lock >= 0 else { return false }
        defer { close(lock) }
        guard linux_try_lock(lock) == 0 else { return errno == EWOULDBLOCK }
        return false
    }

    /// How the last run ended; nil while one goes on, or when there was none that anybody saw.
    package var exitReport: VMExit? {
        guard let octets = try? read(.exitReport, tail: QEMUDefaults.maxShimLine),
            let tree = try? JSONTree(parsing: octets)
        else { return nil }
        return VMExit(report: tree)
    }

    /// The end of the console log, at most `tail` octets; empty before the first output.
    ///
    /// - Throws: `QEMUError.directory` when it is not a readable file.
    package func consoleLog(tail: Int) throws(QEMUError) -> [UInt8] {
        do {
            return try read(.consoleLog, tail: tail)
        } catch .directory(_, ENOENT) {
            return []
        }
    }

    /// The user that owns `run/`, which is the one QEMU runs as; nil before the first start.
    package var owner: UInt32? {
        var status = stat()
        guard fstatat(descriptor, Entry.run.rawValue, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
        return status.st_uid
    }

    /// Whether the guest is a clone that was not told yet who it is; the mark outlives the daemon.
    package var isNameless: Bool {
        faccessat(descriptor, Entry.nameless.rawValue, F_OK, AT_SYMLINK_NOFOLLOW) == 0
    }

    /// Sets or takes away the mark of a clone that does not know who it is.
    ///
    /// - Throws: `QEMUError.directory`.
    package func setNameless(_ isNameless: Bool) throws(QEMUError) {
        let name = Entry.nameless.rawValue
        if isNameless {
            let file = openat(descriptor, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard file >= 0 else { throw .directory(path: "\(path)/\(name)", errno: errno) }
            close(file)
        } else if unlinkat(descriptor, name, 0) != 0, errno != ENOENT {
            throw .directory(path: "\(path)/\(name)", errno: errno)
        }
    }

    /// Connects to the socket `entry`, which must be a socket itself and no link to one.
    ///
    /// - Throws: `QEMUError.notListening`.
    package func connect(
        to entry: Entry,
        group: any EventLoopGroup,
        initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) async throws -> any Channel {
        let reference = linux_open_reference(descriptor, entry.rawValue)
        guard reference >= 0 else { throw QEMUError.notListening(socket: entry.rawValue) }
        defer { close(reference) }
        do {
            return try await ClientBootstrap(group: group).channelInitializer(initializer)
                .connect(unixDomainSocketPath: "/proc/self/fd/\(reference)").get()
        } catch {
            throw QEMUError.notListening(socket: entry.rawValue)
        }
    }

    private func read(_ entry: Entry, tail: Int) throws(QEMUError) -> [UInt8] {
        let failure = { QEMUError.directory(path: "\(self.path)/\(entry.rawValue)", errno: errno) }
        let file = openat(descriptor, entry.rawValue, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { throw failure() }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw failure() }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .directory(path: "\(path)/\(entry.rawValue)", errno: EINVAL)
        }
        let count = min(max(0, tail), Int(status.st_size))
        guard count > 0 else { return [] }
        let start = off_t(Int(status.st_size) - count)
        var got = 0
        let octets = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while got < count, let base = buffer.baseAddress {
                let result = pread(file, base + got, count - got, start + off_t(got))
                if result <= 0 { break }
                got += result
            }
            initialized = got
        }
        return octets
    }
}

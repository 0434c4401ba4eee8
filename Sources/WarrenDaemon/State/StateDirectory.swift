package import Glibc

/// The directory in which everything durable is kept; nobody else may look into it.
package struct StateDirectory: Sendable {
    /// The absolute path, without a trailing slash.
    package let path: String

    /// How long the path of a Unix socket may be, in octets.
    // sun_path of unix(7) holds 108 octets, the last of which is zero.
    package static let longestSocketPath = 107
    // The longest name of a socket below a VM's directory: "/vms/", "vm_" and 26 letters, "/", a name of up to 16.
    private static let longestVMSocketSuffix = 5 + 29 + 1 + 16

    /// Creates the directory with mode 0700, or takes the one that is there.
    /// - Throws: `DaemonError.stateUnusable`, `.socketPathTooLong`.
    package init(creating path: String) throws(DaemonError) {
        self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        try Self.checkLength(of: self.path)
        try Self.makeDirectory(self.path, mode: 0o700)
        try makePrivate()
        for name in ["images", "vms"] where access(self.path + "/" + name, F_OK) != 0 {
            try Self.makeDirectory(self.path + "/" + name, mode: 0o700)
        }
    }

    /// The database.
    package var database: String { path + "/warren.sqlite" }
    /// The key that seals secrets in the database.
    package var secretKey: String { path + "/secret.key" }
    /// The token of the one who administers this daemon.
    package var adminToken: String { path + "/admin.token" }
    /// The lock of the running daemon.
    package var lock: String { path + "/warrend.lock" }
    /// The address and port that the HTTP API listens on.
    package var httpAddress: String { path + "/http.address" }
    /// The images.
    package var images: String { path + "/images" }
    /// A directory for each VM.
    package var vms: String { path + "/vms" }
    /// A directory for each saved guest.
    package var templates: String { path + "/templates" }

    /// Checks that the sockets of VMs in a state directory have names that the system accepts.
    /// - Throws: `DaemonError.socketPathTooLong`.
    package static func checkLength(of path: String) throws(DaemonError) {
        let byteCount = path.utf8.count + longestVMSocketSuffix
        guard byteCount <= longestSocketPath else {
            throw .socketPathTooLong(path: path, byteCount: byteCount, limit: longestSocketPath)
        }
    }

    /// Creates a directory and what is missing above it.
    /// - Throws: `DaemonError.stateUnusable`.
    package static func makeDirectory(_ path: String, mode: mode_t) throws(DaemonError) {
        if mkdir(path, mode) == 0 { return }
        if errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try makeDirectory(String(path[..<slash]), mode: 0o755)
            if mkdir(path, mode) == 0 { return }
        }
        let code = errno
        guard code == EEXIST else {
            throw .stateUnusable(path: path, reason: "cannot be created: \(SystemError.text(code))")
        }
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .stateUnusable(path: path, reason: "is not a directory") }
        close(descriptor)
    }

    private func makePrivate() throws(DaemonError) {
        guard chmod(path, 0o700) == 0 else {
            throw .stateUnusable(path: path, reason: "cannot be made private: \(SystemError.text(errno))")
        }
        guard access(path, W_OK | X_OK) == 0 else {
            throw .stateUnusable(path: path, reason: "is not writable: \(SystemError.text(errno))")
        }
    }
}

/// The system's words for an error number.
enum SystemError {
    static func text(_ code: Int32) -> String {
        guard let text = strerror(code) else { return "error \(code)" }
        return String(cString: text)
    }
}

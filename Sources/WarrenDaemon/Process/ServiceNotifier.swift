import Glibc

/// Tells systemd how the daemon is (sd_notify(3)), when systemd listens.
struct ServiceNotifier: Sendable {
    private let socketPath: String?

    /// Takes the value of `NOTIFY_SOCKET`.
    init(socketPath: String?) {
        self.socketPath = socketPath
    }

    /// The daemon serves.
    func ready() { send("READY=1\nSTATUS=Serving.\n") }

    /// The daemon ends.
    func stopping() { send("STOPPING=1\n") }

    private func send(_ message: String) {
        guard let socketPath, !socketPath.isEmpty else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var path = Array(socketPath.utf8)
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        // A leading @ stands for the zero octet of an abstract name.
        if path[0] == UInt8(ascii: "@") { path[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let length = MemoryLayout<sockaddr_un>.size - MemoryLayout.size(ofValue: address.sun_path) + path.count
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(message.utf8)
        // Nobody can be told that nobody listens.
        _ = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, socklen_t(length))
            }
        }
    }
}

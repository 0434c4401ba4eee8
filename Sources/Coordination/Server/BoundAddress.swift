import NIOCore
import NetTypes

extension CoordinationServer {
    /// A bound place.
    package struct BoundAddress: Hashable, Sendable {
        /// The address as text, without brackets.
        package let host: String
        /// The port.
        package let port: Int
        /// Whether only this host can reach it.
        package let isLoopback: Bool

        /// Names a place that was bound.
        init(host: String, port: Int) {
            self.host = host
            self.port = port
            isLoopback = host.hasPrefix("127.") || host == "::1" || host == "localhost"
        }

        /// Reads a channel's local address.
        init(_ address: SocketAddress?) {
            self.init(host: address?.ipAddress ?? "", port: address?.port ?? 0)
        }

        /// `host:port` for a URL.
        var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

        /// `host:port` as this host itself dials it, also when any address is listened at.
        var localAuthority: String {
            switch IPAddress(host) {
            case .v4(let address) where address.isUnspecified: "127.0.0.1:\(port)"
            case .v6(let address) where address.isUnspecified: "[::1]:\(port)"
            default: authority
            }
        }
    }
}

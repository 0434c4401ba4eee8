import FoundationEssentials
import NetTypes

/// An HTTP proxy that tunnels TCP connections by `CONNECT`.
package struct HTTPProxy: Hashable, Sendable, CustomStringConvertible {
    /// A DNS name or an address without brackets.
    package let host: String
    /// The TCP port.
    package let port: Int
    /// Whether the proxy itself is spoken to in TLS.
    package let isTLS: Bool
    /// The `Proxy-Authorization` header; secret.
    let authorization: String?

    /// Reads `[http[s]://][user[:password]@]host[:port]`; nil when it is anything else.
    package init?(_ text: String) {
        let url = text.contains("://") ? text : "http://\(text)"
        guard url.utf8.count <= 2048, let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(),
            scheme == "http" || scheme == "https", var host = parts.host, !host.isEmpty,
            parts.path.isEmpty || parts.path == "/", parts.query == nil, parts.fragment == nil
        else { return nil }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        let port = parts.port ?? (scheme == "https" ? 443 : 80)
        guard (1...65535).contains(port) else { return nil }
        self.host = host
        self.port = port
        isTLS = scheme == "https"
        if let user = parts.user, !user.isEmpty {
            let credentials = "\(user):\(parts.password ?? "")"
            guard !credentials.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return nil }
            authorization = "Basic " + Data(credentials.utf8).base64EncodedString()
        } else {
            authorization = nil
        }
    }

    /// Host and port, for errors and logs.
    package var name: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    /// Host and port; never the credentials.
    package var description: String { name }
}

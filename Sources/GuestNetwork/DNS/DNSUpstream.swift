package import NetTypes

/// A resolver that names are forwarded to, as control writes it.
package enum DNSUpstream: Hashable, Sendable {
    /// Plain DNS, port 53 unless told otherwise.
    case plain(AddressPort)
    /// DNS over clear HTTP to a peer inside the tunnel: `http://<address>:<port>/<path>`.
    case peer(AddressPort, path: String)
    /// DNS over HTTPS.
    case https(HTTPSResolver)
    /// What no client speaks, such as `tls://`: a name that has only such resolvers fails.
    case unusable(String)

    /// Reads an address, an address with port, or a URL, whose host has the addresses of `bootstrap`.
    package init(_ text: String, bootstrap: [String] = []) {
        if let address = IPAddress(text) {
            self = .plain(AddressPort(address, port: GuestNetworkConstants.dnsPort))
        } else if let target = AddressPort(text) {
            self = .plain(target)
        } else if let (target, path) = Self.peer(text) {
            self = .peer(target, path: path)
        } else if let resolver = HTTPSResolver(text, bootstrap: bootstrap) {
            self = .https(resolver)
        } else {
            self = .unusable(text)
        }
    }

    /// The resolver as control would write it.
    package var text: String {
        switch self {
        case .plain(let target): target.port == GuestNetworkConstants.dnsPort ? "\(target.address)" : "\(target)"
        case .peer(let target, let path): "http://\(target)\(path)"
        case .https(let resolver): resolver.text
        case .unusable(let text): text
        }
    }

    // A name would have to be resolved first, and could only be by the host.
    private static func peer(_ text: String) -> (AddressPort, String)? {
        guard text.hasPrefix("http://") else { return nil }
        let rest = text.dropFirst(7)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let authority = rest[..<slash]
        let path = slash == rest.endIndex ? "/" : String(rest[slash...])
        // The path goes into a request line as it is.
        guard path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        if let target = AddressPort(authority) { return (target, path) }
        if let address = IPv4Address(authority) { return (AddressPort(.v4(address), port: 80), path) }
        guard authority.hasPrefix("["), authority.hasSuffix("]"),
            let address = IPv6Address(authority.dropFirst().dropLast())
        else { return nil }
        return (AddressPort(.v6(address), port: 80), path)
    }
}

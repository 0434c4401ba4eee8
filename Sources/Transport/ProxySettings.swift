import NetTypes

/// Which connections go through a proxy, as `HTTPS_PROXY` and `NO_PROXY` say.
package struct ProxySettings: Hashable, Sendable {
    private enum Exception: Hashable, Sendable {
        case everything
        case prefix(IPPrefix)
        case address(IPAddress, port: Int?)
        /// A name, with the names below it; with a leading dot only those.
        case domain(String, port: Int?)
    }

    private let proxy: HTTPProxy?
    private let exceptions: [Exception]

    /// Every connection is direct.
    package static let none = ProxySettings(proxy: nil, noProxy: "")

    /// One proxy for everything but what `noProxy` lists: names with what is below them, `.suffixes`, addresses, CIDRs, or `*`.
    package init(proxy: HTTPProxy?, noProxy: String) {
        self.proxy = proxy
        exceptions = noProxy.split { $0 == "," || $0 == " " }.prefix(1000).compactMap(Self.exception)
    }

    /// Reads `HTTPS_PROXY` and `NO_PROXY`, in either case; upper case first.
    /// - Throws: `InvalidProxy` when the proxy's URL is none; direct connections in its place could be what it is to prevent.
    package init(environment: [String: String]) throws(InvalidProxy) {
        func value(_ name: String) -> String? {
            [name, name.lowercased()].compactMap { environment[$0] }.first { !$0.isEmpty }
        }
        guard let text = value("HTTPS_PROXY") else {
            self = .none
            return
        }
        guard let proxy = HTTPProxy(text) else { throw InvalidProxy() }
        self.init(proxy: proxy, noProxy: value("NO_PROXY") ?? "")
    }

    private static func exception(_ text: Substring) -> Exception? {
        let text = text.lowercased()
        if text == "*" { return .everything }
        if let prefix = IPPrefix(text) { return .prefix(prefix) }
        if let address = IPAddress(text) { return .address(address, port: nil) }
        var name = text[...]
        var port: Int?
        if let colon = text.lastIndex(of: ":"), let number = UInt16(text[text.index(after: colon)...]) {
            name = text[..<colon]
            port = Int(number)
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        if let address = IPAddress(name) { return .address(address, port: port) }
        if name.hasPrefix("*.") { name = name.dropFirst() }
        return name.isEmpty || name == "." ? nil : .domain(String(name), port: port)
    }

    /// The proxy for a target; nil means a direct connection.
    ///
    /// This host's own loopback is never asked of a proxy.
    package func proxy(for host: String, port: Int) -> HTTPProxy? {
        guard let proxy else { return nil }
        var name = host.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        let address = IPAddress(name)
        guard name != "localhost", address?.isLoopback != true else { return nil }
        let isExcepted = exceptions.contains { exception in
            switch exception {
            case .everything: true
            case .prefix(let prefix): address.map { prefix.contains($0) } ?? false
            case .address(let other, let only): other == address && (only ?? port) == port
            case .domain(let domain, let only):
                (only ?? port) == port
                    && (domain.hasPrefix(".") ? name.hasSuffix(domain) : name == domain || name.hasSuffix(".\(domain)"))
            }
        }
        return isExcepted ? nil : proxy
    }
}

/// The URL in `HTTPS_PROXY` cannot be used; it may hold a password, so it is not repeated.
package struct InvalidProxy: Error, Equatable, CustomStringConvertible {
    /// What is expected.
    package var description: String { "HTTPS_PROXY is not http[s]://[user:password@]host[:port]" }
}

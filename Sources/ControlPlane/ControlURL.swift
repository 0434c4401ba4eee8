import NetTypes

/// The address of a control server: `http(s)://host[:port][/prefix]`.
package struct ControlURL: Hashable, Sendable, CustomStringConvertible {
    /// Whether the scheme is `https`.
    package let isTLS: Bool
    /// The host as written, without brackets.
    package let host: String
    /// The port, 443 or 80 when none is written.
    package let port: Int
    /// The path in front of `/key` and `/ts2021`, without trailing slashes; usually empty.
    package let pathPrefix: String

    /// Reads a URL; user, query and fragment are refused.
    /// - Throws: `.invalidURL`.
    package init(_ text: String) throws(ControlError) {
        let rest: Substring
        if text.lowercased().hasPrefix("https://") {
            isTLS = true
            rest = text.dropFirst(8)
        } else if text.lowercased().hasPrefix("http://") {
            isTLS = false
            rest = text.dropFirst(7)
        } else {
            throw .invalidURL
        }
        let authority = rest.prefix { $0 != "/" }
        var path = rest.dropFirst(authority.count)
        while path.last == "/" { path.removeLast() }
        guard !text.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }), !path.contains(where: { "?#%\\".contains($0) }),
            !authority.contains(where: { "@?#%\\".contains($0) })
        else { throw .invalidURL }
        pathPrefix = String(path)

        var host = authority
        var portText: Substring?
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw .invalidURL }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let tail = authority[authority.index(after: end)...]
            guard IPv6Address(host) != nil, tail.isEmpty || tail.hasPrefix(":") else { throw .invalidURL }
            portText = tail.isEmpty ? nil : tail.dropFirst()
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
        }
        guard !host.isEmpty, host.utf8.count <= 253 else { throw .invalidURL }
        self.host = String(host)
        if let portText {
            guard let port = UInt16(portText), port > 0, portText.first != "+" else { throw .invalidURL }
            self.port = Int(port)
        } else {
            port = isTLS ? 443 : 80
        }
    }

    /// The host, in brackets when it is an IPv6 literal, with the port unless it is the scheme's own.
    package var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isTLS ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// Whether the host is `localhost` or a loopback literal.
    package var isLocal: Bool {
        host.lowercased() == "localhost" || IPAddress(host)?.isLoopback == true
    }

    /// The URL without trailing slashes.
    package var description: String { "\(isTLS ? "https" : "http")://\(authority)\(pathPrefix)" }
}

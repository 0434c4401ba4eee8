package import NetTypes

/// An absolute `http` or `https` URL without user and fragment, taken apart once so that checks and dials agree on its host.
package struct WebURL: Hashable, Sendable {
    /// The schemes that are understood.
    package enum Scheme: String, Sendable {
        case http, https

        /// The port when the URL names none.
        package var defaultPort: UInt16 { self == .http ? 80 : 443 }
    }

    /// The URL as given, its scheme in lower case.
    package let text: String
    /// `http` or `https`.
    package let scheme: Scheme
    /// The host name in lower case, or the address without brackets.
    package let host: String
    /// The port, by the scheme when none is written.
    package let port: UInt16
    /// Whether the port stands in the text.
    package let hasExplicitPort: Bool
    /// The path and query, at least `/`.
    package let target: String

    /// How long a URL may be, in octets.
    package static let byteLimit = 8192

    /// Takes a URL apart; nil when it is not absolute, not http(s), names a user or a fragment, or holds blanks, control or non-ASCII characters.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= Self.byteLimit,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !#""<>\^`{|}#"#.utf8.contains($0) }),
            let separator = text.firstIndex(of: ":"), text[separator...].hasPrefix("://"),
            let scheme = Scheme(rawValue: text[..<separator].lowercased())
        else { return nil }
        let rest = text[text.index(separator, offsetBy: 3)...]
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<authorityEnd]
        guard !authority.contains("@"), let (host, port) = Self.split(authority) else { return nil }
        let tail = rest[authorityEnd...]
        self.scheme = scheme
        self.host = host
        self.port = port ?? scheme.defaultPort
        hasExplicitPort = port != nil
        target = tail.hasPrefix("/") ? String(tail) : "/" + tail
        self.text = scheme.rawValue + text[separator...]
    }

    /// The address when the host is one and not a name.
    package var address: IPAddress? { IPAddress(host) }

    /// Whether the host is this machine: `localhost`, or a loopback address.
    package var isLoopback: Bool { host == "localhost" || address?.isLoopback == true }

    /// `host`, with brackets for IPv6 and the port where it is written: the value of the `Host` field.
    package var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return hasExplicitPort ? "\(name):\(port)" : name
    }

    private static func split(_ authority: some StringProtocol) -> (host: String, port: UInt16?)? {
        var hostText = authority[...]
        var port: UInt16?
        let nameEnd = authority.lastIndex(of: "]") ?? authority.startIndex
        if let colon = authority[nameEnd...].lastIndex(of: ":") {
            let digits = authority[authority.index(after: colon)...]
            guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let value = UInt16(digits), value > 0
            else { return nil }
            port = value
            hostText = authority[..<colon]
        }
        if hostText.hasPrefix("[") {
            guard hostText.hasSuffix("]"), let address = IPv6Address(hostText.dropFirst().dropLast()) else {
                return nil
            }
            return (address.description, port)
        }
        return isHostName(hostText) ? (hostText.lowercased(), port) : nil
    }

    // A last label of digits would be read by some resolvers as an old-style IPv4 address such as 0x7f.1 or 2130706433.
    private static func isHostName(_ host: some StringProtocol) -> Bool {
        if IPv4Address(host) != nil { return true }
        let bare = host.hasSuffix(".") ? host.dropLast() : host[...]
        let labels = bare.split(separator: ".", omittingEmptySubsequences: false)
        guard bare.utf8.count <= 253, let last = labels.last, let first = last.utf8.first else { return false }
        return !(0x30...0x39).contains(first)
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
                    && label.utf8.allSatisfy {
                        (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == 0x2D || $0 == 0x5F
                    }
            }
    }
}

extension WebURL: CustomStringConvertible {
    /// The URL as given.
    package var description: String { text }
}

extension WebURL: Codable {
    /// Reads the JSON form.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = WebURL(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an http(s) URL")
        }
        self = value
    }

    /// Writes the JSON form.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

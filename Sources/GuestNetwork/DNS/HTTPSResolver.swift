package import NetTypes

/// A resolver that is asked over HTTPS (RFC 8484), at addresses that are known beforehand: to ask for them would need a resolver.
package struct HTTPSResolver: Hashable, Sendable {
    /// The URL as it came.
    package let text: String
    /// Whom its certificate has to name.
    package let host: String
    /// What is posted to.
    package let path: String
    /// Where it listens; empty when nobody said, and then it cannot be asked.
    package let targets: [AddressPort]

    /// Reads `https://host[:port]/path`; nil for anything else.
    ///
    /// - Parameters:
    ///   - text: The URL.
    ///   - bootstrap: The addresses of its host, as control tells them.
    package init?(_ text: String, bootstrap: [String] = []) {
        guard text.hasPrefix("https://") else { return nil }
        let rest = text.dropFirst(8)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let authority = rest[..<slash]
        let path = slash == rest.endIndex ? "/" : String(rest[slash...])
        // Both go into the head of a request as they are.
        guard text.utf8.count <= Self.longestURL, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
            !authority.contains("@"), let (host, port) = Self.split(authority)
        else { return nil }
        self.text = text
        self.host = host
        self.path = path
        let addresses = IPAddress(host).map { [$0] } ?? bootstrap.compactMap { IPAddress($0) }
        let known = addresses.isEmpty ? Self.wellKnown[host.lowercased()] ?? [] : addresses
        targets = known.map { AddressPort($0, port: port) }
    }

    private static let longestURL = 2048

    /// The host and the port of an authority; nil when it has none.
    private static func split(_ authority: Substring) -> (String, UInt16)? {
        if let target = AddressPort(authority) { return ("\(target.address)", target.port) }
        if authority.hasPrefix("["), authority.hasSuffix("]") {
            return IPv6Address(authority.dropFirst().dropLast()).map { ("\($0)", 443) }
        }
        let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
        guard let host = parts.first, !host.isEmpty, parts.count <= 2 else { return nil }
        guard parts.count == 2 else { return (String(host), 443) }
        return UInt16(parts[1]).flatMap { $0 == 0 ? nil : (String(host), $0) }
    }

    /// Addresses that public resolvers announce for their names.
    private static let wellKnown: [String: [IPAddress]] = [
        "dns.google": ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888"],
        "cloudflare-dns.com": ["1.1.1.1", "1.0.0.1", "2606:4700:4700::1111"],
        "one.one.one.one": ["1.1.1.1", "1.0.0.1", "2606:4700:4700::1111"],
        "dns.quad9.net": ["9.9.9.9", "149.112.112.112", "2620:fe::fe"],
        "dns.nextdns.io": ["45.90.28.0", "45.90.30.0", "2a07:a8c0::"],
    ].mapValues { $0.compactMap { IPAddress($0) } }
}

package import NetTypes

/// Where a TCP connection goes to.
package struct DialTarget: Hashable, Sendable {
    /// The address families that may be used.
    package struct Families: OptionSet, Hashable, Sendable {
        /// One bit a family.
        package let rawValue: UInt8
        /// A set out of its bits.
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// IPv4.
        package static let ipv4 = Families(rawValue: 1)
        /// IPv6.
        package static let ipv6 = Families(rawValue: 2)
        /// Both.
        package static let all: Families = [.ipv4, .ipv6]
    }

    /// A DNS name or an address without brackets; what a proxy is asked for.
    package var host: String
    /// The TCP port.
    package var port: Int
    /// The addresses to try in place of what DNS says about `host`.
    package var addresses: [IPAddress]?
    /// The families that may be used.
    package var families = Families.all

    /// A target; addresses take the place of DNS.
    package init(host: String, port: Int, addresses: [IPAddress]? = nil, families: Families = .all) {
        self.host = host
        self.port = port
        self.addresses = addresses ?? IPAddress(host).map { [$0] }
        self.families = families
    }
}

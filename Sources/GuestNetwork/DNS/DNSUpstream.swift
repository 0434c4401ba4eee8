package import NetTypes

/// A resolver that names are forwarded to, as control writes it.
package enum DNSUpstream: Hashable, Sendable {
    /// Plain DNS, port 53 unless told otherwise.
    case plain(AddressPort)
    /// DNS over HTTPS, or over HTTP to a peer inside the tunnel.
    case http(String)

    /// Reads an address, an address with port, or a URL of http or https; nil for what no client speaks, such as `tls://`.
    package init?(_ text: String) {
        if let address = IPAddress(text) {
            self = .plain(AddressPort(address, port: GuestNetworkConstants.dnsPort))
        } else if let target = AddressPort(text) {
            self = .plain(target)
        } else if text.hasPrefix("https://") || text.hasPrefix("http://") {
            self = .http(text)
        } else {
            return nil
        }
    }
}

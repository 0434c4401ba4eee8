package import NetTypes
package import WarrenModel

/// `control`: which control server nodes talk to.
package struct ControlSection: ConfigurationSection {
    /// Where an `http:` control URL is allowed.
    package var allowPlainHTTP = PlainHTTPControl.loopback
    /// The control server of a VM that names none.
    package var defaultURL = ControlTarget.embedded
    /// The coordination server inside.
    package var embedded = EmbeddedSection()

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("allowPlainHTTP", &allowPlainHTTP)
        visitor.value("defaultURL", &defaultURL)
        visitor.section("embedded", &embedded)
    }
}

/// `control.embedded`: the coordination server inside.
package struct EmbeddedSection: ConfigurationSection {
    /// Whether it runs.
    package var enabled = true
    /// Where control and the login pages are served.
    package var listen = AddressPort(.v4(.loopback), port: 7081)
    /// The certificate for `listen`; `auto` for one that the server makes itself.
    package var tls = TLSSection()
    /// What clients are told; nil for the address of `listen`.
    package var publicURL: WebURL?
    /// Which reverse proxies are believed about whom they ask for.
    package var trustedProxies: [IPPrefix] = []
    /// Where the relay is served, over TLS.
    package var derp = ListenAddress.address(AddressPort(.v4(.loopback), port: 7082))
    /// Where STUN is served, over UDP.
    package var stun = ListenAddress.address(AddressPort(.v4(.loopback), port: 7083))
    /// Relays of others.
    package var derpRegions: [RelayRegion] = []
    /// The MagicDNS domain.
    package var domain = "warren.internal"
    /// Where nodes get their IPv4 addresses from.
    package var ipv4Prefix = EmbeddedSection.defaultIPv4Prefix
    /// Where nodes get their IPv6 addresses from.
    package var ipv6Prefix = EmbeddedSection.defaultIPv6Prefix
    /// What clients show as the name of the tailnet; nil for the domain.
    package var tailnetName: String?
    /// What clients show as the name of the one user.
    package var userName = "Admin"
    /// How long the key of a person's node is good.
    package var nodeKeyExpiry = KeyLifetime.never
    /// How long an ephemeral node may be offline before it is forgotten.
    package var ephemeralTimeout = Duration.seconds(300)
    /// Whether a new node takes part only when an administrator approved it.
    package var deviceApproval = false
    /// What nodes are told about DNS, until it is set by the API.
    package var dns = EmbeddedDNSSection()

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("enabled", &enabled)
        visitor.value("listen", &listen)
        visitor.section("tls", &tls)
        visitor.value("publicURL", &publicURL)
        visitor.value("trustedProxies", &trustedProxies)
        visitor.value("derp", &derp)
        visitor.value("stun", &stun)
        visitor.value("derpRegions", &derpRegions)
        visitor.value("domain", &domain)
        visitor.value("ipv4Prefix", &ipv4Prefix)
        visitor.value("ipv6Prefix", &ipv6Prefix)
        visitor.value("tailnetName", &tailnetName)
        visitor.value("userName", &userName)
        visitor.value("nodeKeyExpiry", &nodeKeyExpiry)
        visitor.value("ephemeralTimeout", &ephemeralTimeout)
        visitor.value("deviceApproval", &deviceApproval)
        visitor.section("dns", &dns)
    }

    // The ranges that Tailscale uses; stock clients route exactly these.
    private static let defaultIPv4Prefix = prefix("100.64.0.0/10")
    private static let defaultIPv6Prefix = prefix("fd7a:115c:a1e0::/48")

    private static func prefix(_ text: String) -> IPPrefix {
        guard let prefix = IPPrefix(text) else { preconditionFailure("\(text) is no prefix") }
        return prefix
    }
}

/// Where an `http:` control URL is allowed.
package enum PlainHTTPControl: String, ConfigurationChoice {
    /// Nowhere.
    case never
    /// On loopback addresses.
    case loopback
    /// Everywhere.
    case always
}

package import Tailcfg

/// Where the coordination server listens and by which rules it works.
package struct CoordinationConfiguration: Sendable {
    /// A host and a port to bind; port 0 takes any.
    package struct Listener: Hashable, Sendable {
        /// A name or an address literal.
        package var host: String
        /// The port.
        package var port: Int

        /// Names a place to listen at.
        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// ts2021 and the login pages.
    package var listen: Listener
    /// With which certificate; nil = plain HTTP.
    package var tls: CoordinationTLS?
    /// Which reverse proxies are believed about whom they ask for.
    package var trustedProxies = ProxyTrust()
    /// What clients are told, without trailing slash; nil = the address of `listen`.
    package var publicURL: String?
    /// The relay, TLS; nil = none.
    package var derp: Listener?
    /// STUN, UDP; nil = none.
    package var stun: Listener?
    /// Relays of others, beside our own.
    package var regions: [DERPRegion] = []
    /// Addresses, domain, policy.
    package var rules: TailnetRules

    /// A server on loopback, on any ports.
    package init(
        listen: Listener = Listener(host: "127.0.0.1", port: 0),
        publicURL: String? = nil,
        derp: Listener? = Listener(host: "127.0.0.1", port: 0),
        stun: Listener? = Listener(host: "127.0.0.1", port: 0),
        rules: TailnetRules = TailnetRules()
    ) {
        self.listen = listen
        self.publicURL = publicURL
        self.derp = derp
        self.stun = stun
        self.rules = rules
    }
}

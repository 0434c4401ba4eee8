/// The answer of `GET /v1/vms/{vm}/network`.
package struct NetworkDetail: Hashable, Sendable, Codable {
    /// What the VM's answer also says.
    package var status: NetworkStatus
    /// The other nodes that it knows.
    package var peers: [PeerStatus]
    /// What it found out about the network, or null before it did.
    @NullEncoded package var netcheck: NetcheckReport?
    /// What names the guest can resolve.
    package var dns: DNSReport
    /// The prefixes that are routed into the tailnet.
    package var routes: [String]
    /// How many packets were dropped, by reason.
    package var drops: [String: UInt64]

    /// Joins the parts.
    package init(
        status: NetworkStatus,
        peers: [PeerStatus] = [],
        netcheck: NetcheckReport? = nil,
        dns: DNSReport = DNSReport(),
        routes: [String] = [],
        drops: [String: UInt64] = [:]
    ) {
        self.status = status
        self.peers = peers
        self.netcheck = netcheck
        self.dns = dns
        self.routes = routes
        self.drops = drops
    }

    private enum CodingKeys: String, CodingKey {
        case status = "self"
        case peers, netcheck, dns, routes, drops
    }
}

/// What names the guest can resolve.
package struct DNSReport: Hashable, Sendable, Codable {
    /// Whether the names of peers resolve.
    package var magicDns: Bool
    /// What short names are completed with.
    package var searchDomains: [String]
    /// Who is asked about other names.
    package var resolvers: [String]
    /// Who is asked about names below a suffix.
    package var routes: [String: [String]]
    /// Whether one of `resolvers` can be reached from here.
    package var forwards: Bool

    /// Joins the parts.
    package init(
        magicDns: Bool = false,
        searchDomains: [String] = [],
        resolvers: [String] = [],
        routes: [String: [String]] = [:],
        forwards: Bool = false
    ) {
        self.magicDns = magicDns
        self.searchDomains = searchDomains
        self.resolvers = resolvers
        self.routes = routes
        self.forwards = forwards
    }
}

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

/// One peer as a node sees it.
package struct PeerStatus: Hashable, Sendable, Codable {
    /// The name.
    package var name: String
    /// The tailnet addresses.
    package var addresses: [String]
    /// Whether control sees it, or null when control does not say.
    @NullEncoded package var online: Bool?
    /// `direct`, `derp:<code>`, or null while nothing is known.
    @NullEncoded package var path: String?
    /// The address at which it is reached directly, or null.
    @NullEncoded package var endpoint: String?
    /// The round trip in milliseconds, or null before it was measured.
    @NullEncoded package var latencyMs: Double?
    /// Octets received from it.
    package var rxBytes: UInt64
    /// Octets sent to it.
    package var txBytes: UInt64
    /// When keys were last agreed on.
    @NullEncoded package var lastHandshake: Timestamp?
    /// Whether it offers itself as exit node.
    package var exitNode: Bool

    /// Joins the parts.
    package init(
        name: String,
        addresses: [String],
        online: Bool? = nil,
        path: String? = nil,
        endpoint: String? = nil,
        latencyMs: Double? = nil,
        rxBytes: UInt64 = 0,
        txBytes: UInt64 = 0,
        lastHandshake: Timestamp? = nil,
        exitNode: Bool = false
    ) {
        self.name = name
        self.addresses = addresses
        self.online = online
        self.path = path
        self.endpoint = endpoint
        self.latencyMs = latencyMs
        self.rxBytes = rxBytes
        self.txBytes = txBytes
        self.lastHandshake = lastHandshake
        self.exitNode = exitNode
    }
}

/// What a node found out about its own place in the network.
package struct NetcheckReport: Hashable, Sendable, Codable {
    /// Whether UDP gets out.
    package var udp: Bool
    /// The addresses at which others may reach the node.
    package var endpoints: [String]
    /// Round trips by region code.
    package var derpLatencyMs: [String: Double]

    /// Joins the parts.
    package init(udp: Bool, endpoints: [String], derpLatencyMs: [String: Double]) {
        self.udp = udp
        self.endpoints = endpoints
        self.derpLatencyMs = derpLatencyMs
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

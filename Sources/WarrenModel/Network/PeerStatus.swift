/// One peer as a node sees it.
package struct PeerStatus: Hashable, Sendable, Codable {
    /// The name.
    package var name: String
    /// What control calls it, or null when control does not say.
    @NullEncoded package var nodeId: String?
    /// The tailnet addresses.
    package var addresses: [String]
    /// The prefixes behind it, as control lets it route them, beside its own addresses.
    package var routes: [String]
    /// Whether control sees it, or null when control does not say.
    @NullEncoded package var online: Bool?
    /// `direct`, `derp:<code>`, or null while nothing is known.
    @NullEncoded package var path: String?
    /// The relay region that packets take without a direct path, by its code, or null.
    @NullEncoded package var region: String?
    /// The address at which it is reached directly, or null.
    @NullEncoded package var endpoint: String?
    /// The addresses that were, or may be, tried.
    package var endpoints: [PeerEndpointStatus]
    /// The round trip in milliseconds, or null before it was measured.
    @NullEncoded package var latencyMs: Double?
    /// Octets received from it.
    package var rxBytes: UInt64
    /// Octets sent to it.
    package var txBytes: UInt64
    /// When keys were last agreed on.
    @NullEncoded package var lastHandshake: Timestamp?
    /// When anything was last sent to it.
    @NullEncoded package var lastSend: Timestamp?
    /// Whether it offers itself as exit node.
    package var exitNode: Bool

    /// A peer of which nothing is known but what control says.
    package init(
        name: String,
        nodeId: String? = nil,
        addresses: [String],
        routes: [String] = [],
        online: Bool? = nil,
        exitNode: Bool = false
    ) {
        self.name = name
        self.nodeId = nodeId
        self.addresses = addresses
        self.routes = routes
        self.online = online
        path = nil
        region = nil
        endpoint = nil
        endpoints = []
        latencyMs = nil
        rxBytes = 0
        txBytes = 0
        lastHandshake = nil
        lastSend = nil
        self.exitNode = exitNode
    }
}

/// One address of a peer.
package struct PeerEndpointStatus: Hashable, Sendable, Codable {
    /// Where datagrams would go.
    package var address: String
    /// Who named it: `netmap`, `call-me-maybe`, `ping`.
    package var sources: [String]
    /// The round trip of its last answer in milliseconds, or null when it never answered.
    @NullEncoded package var latencyMs: Double?
    /// When it answered last, or null when it never did.
    @NullEncoded package var lastPong: Timestamp?

    /// Joins the parts.
    package init(address: String, sources: [String], latencyMs: Double?, lastPong: Timestamp?) {
        self.address = address
        self.sources = sources
        self.latencyMs = latencyMs
        self.lastPong = lastPong
    }
}

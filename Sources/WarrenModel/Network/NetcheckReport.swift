/// What a node found out about its own place in the network.
package struct NetcheckReport: Hashable, Sendable, Codable {
    /// How a NAT in front of the node gives out its addresses.
    package enum NAT: String, Hashable, Sendable, Codable, CaseIterable {
        /// The same one for every destination: direct paths are easily found.
        case endpointIndependent = "endpoint-independent"
        /// Another one for every destination: two such nodes meet only by relay.
        case endpointDependent = "endpoint-dependent"
    }

    /// When the newest measurement ended.
    package var reportedAt: Timestamp
    /// Whether UDP gets out.
    package var udp: Bool
    /// Whether it does over IPv4.
    package var ipv4: Bool
    /// Whether it does over IPv6.
    package var ipv6: Bool
    /// How a NAT gives out addresses, or null when too few servers answered to tell.
    @NullEncoded package var nat: NAT?
    /// How others see the node over IPv4, or null.
    @NullEncoded package var publicIpv4: String?
    /// How others see the node over IPv6, or null.
    @NullEncoded package var publicIpv6: String?
    /// The code of the region where others find the node, or null before there is one.
    @NullEncoded package var home: String?
    /// The addresses at which others may reach the node.
    package var endpoints: [String]
    /// Round trips by region code.
    package var derpLatencyMs: [String: Double]
    /// The regions of the tailnet.
    package var regions: [Region]
    /// The relay connections that stand or are wanted.
    package var relays: [Relay]

    /// What was measured of one relay region.
    package struct Region: Hashable, Sendable, Codable {
        /// Its number.
        package var id: Int
        /// Its short code.
        package var code: String
        /// Its name for people.
        package var name: String
        /// The fastest answer over IPv4 in milliseconds, or null.
        @NullEncoded package var ipv4Ms: Double?
        /// The fastest answer over IPv6 in milliseconds, or null.
        @NullEncoded package var ipv6Ms: Double?
        /// The fastest answer over HTTPS in milliseconds, or null: asked for only where UDP does not get through.
        @NullEncoded package var httpsMs: Double?

        /// Joins the parts.
        package init(id: Int, code: String, name: String, ipv4Ms: Double?, ipv6Ms: Double?, httpsMs: Double?) {
            self.id = id
            self.code = code
            self.name = name
            self.ipv4Ms = ipv4Ms
            self.ipv6Ms = ipv6Ms
            self.httpsMs = httpsMs
        }
    }

    /// One connection to a relay.
    package struct Relay: Hashable, Sendable, Codable {
        /// The code of its region.
        package var region: String
        /// `connecting`, `connected` or `waiting`.
        package var state: String
        /// Whether others find the node there.
        package var home: Bool
        /// What the relay complains about, or null.
        @NullEncoded package var problem: String?

        /// Joins the parts.
        package init(region: String, state: String, home: Bool, problem: String?) {
            self.region = region
            self.state = state
            self.home = home
            self.problem = problem
        }
    }

    /// A report of nothing yet.
    package init(reportedAt: Timestamp, udp: Bool, endpoints: [String]) {
        self.reportedAt = reportedAt
        self.udp = udp
        ipv4 = false
        ipv6 = false
        nat = nil
        publicIpv4 = nil
        publicIpv6 = nil
        home = nil
        self.endpoints = endpoints
        derpLatencyMs = [:]
        regions = []
        relays = []
    }
}

package import NetTypes
package import Tailcfg

/// What the node knows about the network it is in, for the API.
package struct NetCheckSummary: Hashable, Sendable {
    /// What was measured of one relay region.
    package struct Region: Hashable, Sendable {
        /// Its number.
        package var id: DERPRegionID
        /// Its short code.
        package var code: String
        /// Its name for people.
        package var name: String
        /// The fastest STUN answer over IPv4.
        package var latencyIPv4: Duration?
        /// The fastest STUN answer over IPv6.
        package var latencyIPv6: Duration?
        /// The fastest HTTPS answer, asked for only where no STUN answer comes.
        package var latencyHTTPS: Duration?
    }

    /// How old the newest report is.
    package var age: Duration
    /// The regions of the map, by number.
    package var regions: [Region]
    /// Whether any STUN server answered.
    package var hasUDP: Bool
    /// Whether one answered over IPv4.
    package var hasIPv4: Bool
    /// Whether one answered over IPv6.
    package var hasIPv6: Bool
    /// Whether the NAT gives each destination another mapping; nil with fewer than two answers.
    package var mappingVariesByDestination: Bool?
    /// How IPv4 STUN servers see this node.
    package var publicIPv4: AddressPort?
    /// How IPv6 STUN servers see this node.
    package var publicIPv6: AddressPort?
    /// The home region; none when there is none.
    package var home: DERPRegionID
    /// Its short code.
    package var homeCode: String?
}

/// One relay region that this node is, or wants to be, connected to.
package struct RelayStatus: Hashable, Sendable {
    /// How far the connection is.
    package enum State: String, Hashable, Sendable, CaseIterable {
        /// It is being opened.
        case connecting
        /// Packets go out at once.
        case connected
        /// It failed and is tried again.
        case waiting
    }

    /// The region's number.
    package var region: DERPRegionID
    /// Its short code.
    package var code: String
    /// Whether peers find this node there.
    package var isHome: Bool
    /// How far the connection is.
    package var state: State
    /// What the relay complains about.
    package var problem: String?
}

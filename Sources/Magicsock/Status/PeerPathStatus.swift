package import NetTypes
package import Tailcfg

/// How a peer is reached at the moment, and what was tried.
package struct PeerPathStatus: Hashable, Sendable {
    /// The way packets take.
    package enum Path: Hashable, Sendable {
        /// By UDP to this address.
        case direct(AddressPort)
        /// Through the relay region with this code.
        case relay(code: String)
        /// There is none.
        case none
    }

    /// Who named an address of a peer.
    package enum Source: String, Hashable, Sendable, CaseIterable {
        /// Control, in the network map.
        case netmap
        /// The peer, in a call-me-maybe.
        case callMeMaybe = "call-me-maybe"
        /// The peer, by a ping from there.
        case ping
    }

    /// One UDP address that may be tried.
    package struct Endpoint: Hashable, Sendable {
        /// Where datagrams would go.
        package var address: AddressPort
        /// Who named it.
        package var sources: [Source]
        /// How long ago it was pinged; nil when it was not, or may be again at once.
        package var pingAge: Duration?
        /// How long ago it answered.
        package var pongAge: Duration?
        /// The round trip of that answer.
        package var latency: Duration?
    }

    /// The way packets take.
    package var path: Path
    /// The round trip of the direct path.
    package var latency: Duration?
    /// The relay region that packets go through, or would go through without a direct path.
    package var region: DERPRegionID?
    /// Its short code.
    package var regionCode: String?
    /// Octets of tunnel datagrams sent.
    package var sentByteCount: UInt64
    /// Octets of tunnel datagrams received.
    package var receivedByteCount: UInt64
    /// The UDP addresses that may be tried.
    package var endpoints: [Endpoint]
    /// How long ago anything was sent to the peer.
    package var sendAge: Duration?
}

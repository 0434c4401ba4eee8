package import NetTypes
package import Tailcfg

/// The answer to a disco ping.
package struct PathPing: Hashable, Sendable {
    /// The way that the ping and its answer took.
    package enum Way: Hashable, Sendable {
        /// By UDP to this address.
        case direct(AddressPort)
        /// Through this relay region.
        case relay(DERPRegionID, code: String)
    }

    /// The way that the ping and its answer took.
    package var way: Way
    /// The round trip.
    package var latency: Duration
}

/// Why a disco ping has no answer.
package enum PathPingError: Error, Hashable, Sendable {
    /// The peer speaks no disco, or is none any more.
    case noDisco
    /// There is no relay and no address to try.
    case noPath
    /// Nothing came back in time.
    case timedOut
    /// The node was stopped.
    case closed
}

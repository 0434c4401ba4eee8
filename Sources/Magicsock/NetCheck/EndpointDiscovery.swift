import NIOCore
import NetTypes
import Tailcfg

/// What the socket knows of its own whereabouts, and the round of probes that is under way.
struct EndpointDiscovery {
    /// The relays to ask; nil before control named any.
    var map: DERPMap?
    /// The round under way.
    var check: NetCheck?
    /// Whether another round was asked for meanwhile, and of which kind.
    var isWanted = false
    var isFullWanted = false
    /// The last round that is over.
    var lastReport: NetCheckReport?
    var lastFullRound: MonotonicTime?
    var lastFullReport: NetCheckReport?
    /// The list of endpoints and when it was made.
    var endpoints: [PublishedEndpoint] = []
    var updatedAt: MonotonicTime?
    var published: MagicSocketReport?
    var chooser = HomeDERPChooser()
    var timer: Scheduled<Void>?
    var isResolving = false
    /// Whether the regions of the round under way are measured by HTTPS.
    var isMeasuring = false
    var memory = EndpointMemory()
    /// Addresses of STUN servers that the map gives by name only.
    var resolved: [String: (addresses: [IPAddress], at: MonotonicTime)] = [:]

    /// Whether a round is under way.
    var isBusy: Bool { check != nil || isResolving || isMeasuring }

    /// Whether the endpoints are recent enough to be sent to a peer that shall ping them.
    func isFresh(at now: MonotonicTime) -> Bool {
        updatedAt.map { now - $0 <= MagicsockConstants.endpointFreshness } == true
    }
}

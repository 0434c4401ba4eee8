import Disco
import NetTypes

/// One UDP address of a peer that may be tried: who named it, and what became of the pings to it.
struct PathCandidate: Sendable {
    /// Whether the newest network map names it.
    var isInNetworkMap = false
    /// Whether the peer's last call-me-maybe names it.
    var isFromCallMeMaybe = false
    /// When the peer last pinged from there.
    var lastPingReceived: MonotonicTime?
    /// That ping, so that a copy of it is known for one.
    var lastPingTransaction: TransactionID?
    /// When it was last pinged; nil when it may be pinged again at once.
    var lastPingSent: MonotonicTime?
    /// When it last answered.
    var lastPong: MonotonicTime?
    /// The round trip of that answer.
    var latency: Duration?

    /// Whether anybody still vouches for the address.
    func isWanted(at now: MonotonicTime) -> Bool {
        isInNetworkMap || isFromCallMeMaybe
            || lastPingReceived.map { now - $0 <= MagicsockConstants.sessionActiveTimeout } == true
    }
}

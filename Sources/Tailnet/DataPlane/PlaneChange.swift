import GuestNetwork
import Tailcfg

/// What changes of single peers mean for a data plane that has taken a whole `PlaneNetwork` before.
struct PlaneChange: Sendable {
    /// Peers that are new or not what they were.
    var peers: [PlaneNetwork.Peer] = []
    /// Peers that are not talked to any more.
    var removed: [NodeID] = []
    /// The rules of the packet filter, where they depend on what changed.
    var filterRules: PacketFilterRules?
    /// Names that go and come; nil when none does.
    var names: Names?

    /// What the resolver forgets, then learns.
    enum Names: Sendable {
        case some(leaving: [DNSZone.Node], joining: [DNSZone.Node])
        case all(DNSZone)
    }
}

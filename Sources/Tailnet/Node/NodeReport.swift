package import WarrenModel

/// How a node is at one moment: a level, of which only the newest counts.
package struct NodeReport: Hashable, Sendable {
    /// Grows with every change.
    package var version: Int64
    /// What the node's owner shows; `since` and `loginUrlSince` are the owner's business.
    package var status: NetworkStatus
    /// Grows when the node's view of its peers or of itself changes.
    package var netmapVersion: Int64
    /// The peers, for those who follow the network map.
    package var peers: [PeerStatus]

    /// Joins the parts.
    package init(version: Int64, status: NetworkStatus, netmapVersion: Int64, peers: [PeerStatus]) {
        self.version = version
        self.status = status
        self.netmapVersion = netmapVersion
        self.peers = peers
    }
}

import NetTypes
package import Tailcfg
import WarrenCrypto
import WarrenModel

/// Builds what one node is told, out of the tailnet's present state; no client's JSON passes through unparsed.
package struct MapBuilder: Sendable {
    private let state: TailnetState
    private let derpMap: DERPMap
    private let online: Set<NodeID>
    private let index: PolicyIndex
    private let now: ControlTime

    /// A builder for one moment.
    package init(
        state: TailnetState,
        derpMap: DERPMap,
        online: Set<NodeID>,
        index: PolicyIndex,
        now: ControlTime
    ) {
        self.state = state
        self.derpMap = derpMap
        self.online = online
        self.index = index
        self.now = now
    }

    /// The first message of a stream: everything.
    package func fullMap(for node: NodeRecord) -> MapResponse {
        var response = MapResponse()
        let peers = visiblePeers(of: node)
        response.node = selfNode(node)
        response.peers = peers.map(peer)
        response.derpMap = DERPMapUpdate(derpMap)
        response.dnsConfig = dnsConfig
        response.domain = state.rules.displayedTailnet
        response.packetFilters = ["base": filter(for: node)]
        response.userProfiles = Set(peers.map(\.user) + [node.user]).sorted().map(state.rules.profile)
        response.collectServices = false
        response.controlTime = now
        var debug = ControlDebug()
        debug.disableLogTail = true
        response.debug = debug
        return response
    }

    /// The peers that a node may see, in the order of their numbers.
    package func visiblePeers(of node: NodeRecord) -> [NodeRecord] {
        state.nodeIDs.compactMap { id in
            guard id != node.id, let peer = state.nodes[id], peer.isVisible, index.connects(node, peer) else {
                return nil
            }
            return peer
        }
    }

    /// What may come in at a node.
    package func filter(for node: NodeRecord) -> [FilterRule] { index.filter(for: node) }

    /// The resolver's settings; names of the tailnet are answered by each client itself.
    package var dnsConfig: DNSConfig {
        let dns = state.dns
        let domain = state.rules.domain
        var config = DNSConfig()
        config.proxied = dns.magicDNS
        // Without MagicDNS full names still resolve, short ones do not.
        config.domains = (dns.magicDNS ? [domain] : []) + dns.searchDomains.filter { $0 != domain }
        config.routes = dns.routes.mapValues { $0.map(DNSResolver.init) }
        config.routes[domain] = .some([])
        config.resolvers = dns.resolvers.map(DNSResolver.init)
        config.fallbackResolvers = dns.fallbackResolvers.map(DNSResolver.init)
        config.extraRecords = dns.extraRecords.map { DNSRecord(name: $0.name, type: $0.type, value: $0.value) }
        return config
    }

    /// A node as it sees itself.
    package func selfNode(_ record: NodeRecord) -> Node {
        var node = common(record)
        node.online = true
        node.hostinfo = record.hostinfo
        node.capabilityMap = [
            "https://tailscale.com/cap/file-sharing": [],
            "default-auto-update": [.bool(false)],
            "disable-captive-portal-detection": [],
        ]
        if !record.isTagged { node.capabilityMap["https://tailscale.com/cap/is-admin"] = .some([]) }
        return node
    }

    /// A node as its peers see it.
    package func peer(_ record: NodeRecord) -> Node {
        var node = common(record)
        node.endpoints = record.endpoints
        node.hostinfo = record.hostinfo.shownToPeers
        let isOnline = online.contains(record.id)
        node.online = isOnline
        node.lastSeen = isOnline ? nil : record.lastSeen
        return node
    }

    /// The last thing a removed node hears: its key has ended.
    package static func farewell(_ node: Node, now: ControlTime) -> MapResponse {
        var node = node
        // A minute back, so that a client whose clock lags notices at once.
        node.keyExpiry = now.adding(seconds: -60)
        node.expired = true
        var response = MapResponse()
        response.node = node
        return response
    }

    /// A patch with the present values of what changed; whole-node changes are not expressible.
    package func patch(_ record: NodeRecord, _ change: NodeChange) -> PeerChange {
        var patch = PeerChange(nodeID: record.id)
        let isOnline = online.contains(record.id)
        // One message must suffice to reach a node that came back, so it carries all ways to it.
        let isBack = change.contains(.online) && isOnline
        if change.contains(.endpoints) || change.contains(.discoKey) || isBack {
            patch.endpoints = record.endpoints.isEmpty ? nil : record.endpoints
        }
        if change.contains(.homeDERP) || isBack { patch.derpRegion = record.homeDERP.isNone ? nil : record.homeDERP }
        if change.contains(.discoKey) || isBack { patch.discoKey = record.discoKey.isZero ? nil : record.discoKey }
        if change.contains(.online) || (change.contains(.discoKey) && isOnline) { patch.online = isOnline }
        if change.contains(.online), !isOnline { patch.lastSeen = record.lastSeen }
        if change.contains(.expiry) { patch.keyExpiry = record.keyExpiry }
        return patch
    }

    private func common(_ record: NodeRecord) -> Node {
        var node = Node(id: record.id)
        node.stableID = record.stableID
        node.name = state.dnsName(of: record.givenName)
        node.user = record.user
        node.key = record.nodeKey
        node.keyExpiry = record.keyExpiry
        node.machine = record.machineKey
        node.discoKey = record.discoKey
        node.addresses = record.addresses
        node.allowedIPs = record.servedPrefixes
        node.primaryRoutes = record.primaryRoutes
        node.homeDERP = record.homeDERP
        node.created = record.created
        node.capabilityVersion = record.capabilityVersion
        node.tags = record.tags
        node.expired = record.isExpired(at: now)
        node.machineAuthorized = record.isApproved
        return node
    }
}

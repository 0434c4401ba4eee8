import GuestNetwork
import Magicsock
import NetTypes
import NetWire
import Tailcfg
import WarrenCrypto
import WarrenModel

/// A network map in the form in which the data plane takes it: a value made off the loop, applied on it.
struct PlaneNetwork: Sendable {
    /// One peer that may be talked to.
    struct Peer: Sendable {
        var id: NodeID
        var path: MagicPeerDescription
        /// From where its packets may come.
        var allowedIPs: [IPPrefix]
        var isJailed: Bool
    }

    var peers: [Peer]
    var routes: RouteTable
    var derpMap: DERPMap?
    /// What control switches on or off in the choice of paths.
    var switches = MagicSocketSwitches()
    var addressing: GuestAddressing
    var zone: DNSZone
    /// Whether an exit node is chosen, be it there or not.
    var usesExitNode: Bool
    var filterRules: PacketFilterRules
    /// The node's own addresses.
    var ownAddresses: [IPAddress]
    /// What the node takes packets for.
    var localAddresses: [IPPrefix]

    /// Translates a map.
    ///
    /// - Parameters:
    ///   - map: What control says.
    ///   - preferences: What the node's owner wishes.
    ///   - exitNode: The exit node in use, as the node made it out.
    ///   - forwarding: Whom the guest's resolver may ask.
    ///   - now: The clock, corrected by control's.
    init(
        map: NetworkMap,
        preferences: NodePreferences,
        exitNode: RoutePreferences.ExitNode = .none,
        forwarding: DNSForwardingRule = .tailnet,
        now: ControlTime
    ) {
        let sorted = map.sortedPeers
        let routes = RouteTable(
            peers: sorted,
            preferences: RoutePreferences(acceptRoutes: preferences.acceptRoutes, exitNode: exitNode),
            now: now
        )
        self.routes = routes
        // A peer without routes is not talked to: expired, unreachable, or stripped by tailnet lock.
        peers = sorted.compactMap { node in
            guard !node.key.isZero, let allowedIPs = routes.effectiveAllowedIPs[node.id] else { return nil }
            // Such a peer would not know our address: it is to be replaced in every packet.
            if node.selfIPv4MasqueradeAddress != nil || node.selfIPv6MasqueradeAddress != nil { return nil }
            return Peer(
                id: node.id,
                path: MagicPeerDescription(
                    nodeKey: node.key,
                    discoKey: node.discoKey,
                    homeDERP: node.homeDERP,
                    endpoints: node.endpoints,
                    isWireGuardOnly: node.isWireGuardOnly
                ),
                allowedIPs: allowedIPs,
                isJailed: node.isJailed
            )
        }
        derpMap = map.derpMap
        switches.relayOnly = map.selfNode.hasCapability("only-tcp-443")
        switches.silentDisco = map.selfNode.hasCapability("silent-disco")
        filterRules = PacketFilterRules(map)
        ownAddresses = map.selfNode.addresses.filter(\.isSingleAddress).map(\.address)
        localAddresses = map.selfNode.addresses
        addressing = Self.addressing(map, preferences)
        let choice = DNSChoice(
            map.dnsConfig,
            own: map.selfNode,
            usesExitNode: exitNode != .none,
            exitNode: exitNode.id.flatMap { map.peers[$0] },
            rule: forwarding
        )
        zone = DNSZone(map, choice, acceptsDNS: preferences.acceptDNS, rule: forwarding)
        usesExitNode = exitNode != .none
    }

    private static func addressing(_ map: NetworkMap, _ preferences: NodePreferences) -> GuestAddressing {
        let name = DNSName(map.selfNode.name)
        // The guest's DHCP client takes it for its host name, and scripts there trust it: only a label will do.
        let label = DNSLabel(map.selfNode.name.prefix { $0 != "." }.lowercased())
        return GuestAddressing(
            ipv4: map.selfNode.ipv4,
            ipv6: map.selfNode.ipv6,
            hostname: label?.text ?? preferences.hostname,
            domain: name?.parent.flatMap { $0.isRoot ? nil : $0 },
            searchDomains: preferences.acceptDNS ? map.dnsConfig.domains.compactMap { DNSName($0) } : []
        )
    }
}

/// What the data plane knows at one moment, for the API.
struct PlaneSnapshot: Sendable {
    /// One peer.
    struct Peer: Sendable {
        var path: PeerPathStatus
        var handshakeAge: Duration?
    }

    var peers: [NodeID: Peer]
    var report: MagicSocketReport?
    var routes: [String]
    var drops: [String: UInt64]
}

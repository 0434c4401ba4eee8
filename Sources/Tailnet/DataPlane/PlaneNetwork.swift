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
        /// Those of them whose packets go to it.
        var routes: [IPPrefix]
        var isJailed: Bool

        /// A peer of the map; nil for one that is not talked to: expired, unreachable, or stripped by tailnet lock.
        init?(_ node: Node, _ routes: RouteTable) {
            guard let allowedIPs = routes.prefixes(of: node.id) else { return nil }
            id = node.id
            path = MagicPeerDescription(
                nodeKey: node.key,
                discoKey: node.discoKey,
                homeDERP: node.homeDERP,
                endpoints: node.endpoints,
                isWireGuardOnly: node.isWireGuardOnly
            )
            self.allowedIPs = allowedIPs
            self.routes = routes.ownedPrefixes(of: node.id)
            isJailed = node.isJailed
        }
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
    /// What the node takes packets for: its own addresses and the approved routes of its guest.
    var localAddresses: [IPPrefix]
    /// Whether everything that peers begin is refused.
    var isShieldsUp: Bool

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
        let sorted = map.sortedPeers.filter(Self.isUsable)
        let routes = RouteTable(
            peers: sorted,
            preferences: RoutePreferences(acceptRoutes: preferences.acceptRoutes, exitNode: exitNode),
            now: now
        )
        self.routes = routes
        peers = sorted.compactMap { Peer($0, routes) }
        derpMap = map.derpMap
        switches.relayOnly = map.selfNode.hasCapability("only-tcp-443")
        switches.silentDisco = map.selfNode.hasCapability("silent-disco")
        filterRules = PacketFilterRules(map)
        ownAddresses = map.selfNode.addresses.filter(\.isSingleAddress).map(\.address)
        localAddresses = map.selfNode.addresses + Self.approvedRoutes(map.selfNode, preferences)
        isShieldsUp = preferences.shieldsUp
        addressing = Self.addressing(map, preferences)
        zone = Self.zone(map, preferences, exitNode, forwarding)
        usesExitNode = exitNode != .none
    }

    /// What the guest's resolver knows.
    static func zone(
        _ map: NetworkMap,
        _ preferences: NodePreferences,
        _ exitNode: RoutePreferences.ExitNode,
        _ forwarding: DNSForwardingRule
    ) -> DNSZone {
        let choice = DNSChoice(
            map.dnsConfig,
            own: map.selfNode,
            usesExitNode: exitNode != .none,
            exitNode: exitNode.id.flatMap { map.peers[$0] },
            rule: forwarding,
            acceptsDNS: preferences.acceptDNS
        )
        return DNSZone(map, choice, acceptsDNS: preferences.acceptDNS)
    }

    /// Whether a peer is one that this node can talk to at all.
    ///
    /// Who must see us under another address needs a translation of addresses in every packet; that only comes with nodes
    /// shared between tailnets and with exit nodes of third parties.
    static func isUsable(_ node: Node) -> Bool {
        !node.key.isZero && node.selfIPv4MasqueradeAddress == nil && node.selfIPv6MasqueradeAddress == nil
    }

    /// The advertised routes that control lets us have: it names them among our own prefixes.
    private static func approvedRoutes(_ own: Node, _ preferences: NodePreferences) -> [IPPrefix] {
        let prefixes = own.effectiveAllowedIPs
        return preferences.advertiseRoutes.filter { prefixes.contains($0) && !own.addresses.contains($0) }
    }

    private static func addressing(_ map: NetworkMap, _ preferences: NodePreferences) -> GuestAddressing {
        let name = DNSName(map.selfNode.name)
        // The guest's DHCP client takes it for its host name, and scripts there trust it: only a label will do.
        let label = DNSLabel(map.selfNode.name.prefix { $0 != "." }.lowercased())
        return GuestAddressing(
            ipv4: map.selfNode.ipv4,
            ipv6: map.selfNode.ipv6,
            advertisedRoutes: approvedRoutes(map.selfNode, preferences),
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
    var dns: DNSSnapshot
    var netCheck: NetCheckSummary?
    var relays: [RelayStatus]
    var routes: [String]
    var drops: [String: UInt64]
}

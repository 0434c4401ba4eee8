import GuestNetwork
import NetTypes
import NetWire
import Tailcfg

/// Who is asked about which names, as control and the choice of an exit node have it (tailscale ipn/ipnlocal).
struct DNSChoice: Equatable, Sendable {
    /// Resolvers by suffix; an empty list is a zone of ours.
    var routes: [DNSName: [DNSUpstream]] = [:]
    /// Who is asked for everything else.
    var resolvers: [DNSUpstream] = []

    /// Makes the choice.
    ///
    /// - Parameters:
    ///   - config: What control says.
    ///   - own: The node itself.
    ///   - usesExitNode: Whether an exit node is chosen.
    ///   - exitNode: The one; nil when there is none or it is not in the map.
    ///   - rule: What the daemon allows.
    ///   - acceptsDNS: Whether the node's owner wants the tailnet's DNS.
    init(
        _ config: DNSConfig,
        own: Node,
        usesExitNode: Bool,
        exitNode: Node?,
        rule: DNSForwardingRule,
        acceptsDNS: Bool = true
    ) {
        guard acceptsDNS else {
            resolvers = Self.hostResolvers(rule)
            return
        }
        for (suffix, resolvers) in config.routes {
            guard let name = DNSName(suffix) else { continue }
            routes[name] = (resolvers ?? []).map { DNSUpstream($0) }
        }
        resolvers = config.resolvers.map { DNSUpstream($0) }
        if let exitNode, let proxy = Self.proxy(of: exitNode, own: own) {
            let kept = config.resolvers.filter(\.useWithExitNode).map { DNSUpstream($0) }
            resolvers = kept.isEmpty ? [proxy] : kept
            for (suffix, resolvers) in config.routes {
                guard let name = DNSName(suffix), let resolvers, !resolvers.isEmpty else { continue }
                let kept = resolvers.filter(\.useWithExitNode).map { DNSUpstream($0) }
                routes[name] = kept.isEmpty ? nil : kept
            }
        } else if resolvers.isEmpty, usesExitNode {
            let others =
                exitNode?.isWireGuardOnly == true && exitNode?.exitNodeDNSResolvers.isEmpty == false
                ? exitNode?.exitNodeDNSResolvers ?? [] : config.fallbackResolvers
            resolvers = others.map { DNSUpstream($0) }
        } else if resolvers.isEmpty {
            resolvers = Self.hostResolvers(rule)
        }
    }

    /// The host's own resolvers, where they may be asked.
    private static func hostResolvers(_ rule: DNSForwardingRule) -> [DNSUpstream] {
        guard case .host(let resolvers) = rule else { return [] }
        return resolvers.map { .plain($0) }
    }

    // Since this version a node that is an exit node answers DNS for those who use it.
    private static let proxyingVersion: CapabilityVersion = 26

    /// The exit node's own resolver, at the address and port of its PeerAPI.
    private static func proxy(of exitNode: Node, own: Node) -> DNSUpstream? {
        let services = exitNode.hostinfo?.services ?? []
        let canProxy =
            exitNode.capabilityVersion == 0
            ? services.contains { $0.proto == "peerapi-dns-proxy" && $0.port >= 1 }
            : exitNode.capabilityVersion.rawValue >= proxyingVersion.rawValue
        guard canProxy else { return nil }
        let isIPv4 = own.ipv4 != nil
        let address = isIPv4 ? exitNode.ipv4.map(IPAddress.v4) : exitNode.ipv6.map(IPAddress.v6)
        guard let address, let service = services.first(where: { $0.proto == (isIPv4 ? "peerapi4" : "peerapi6") }),
            service.port > 0
        else { return nil }
        return .peer(AddressPort(address, port: service.port), path: "/dns-query")
    }
}

extension DNSZone {
    /// What the guest's resolver knows of a tailnet; nothing for a node without a name.
    init(_ map: NetworkMap, _ choice: DNSChoice, acceptsDNS: Bool) {
        guard let own = Self.node(map.selfNode) else {
            self.init()
            return
        }
        let records = map.dnsConfig.extraRecords.compactMap { record -> (name: DNSName, address: IPAddress)? in
            guard ["", "A", "AAAA"].contains(record.type), let name = DNSName(record.name),
                let address = IPAddress(record.value)
            else { return nil }
            return (name, address)
        }
        self.init(
            own: own,
            peers: map.sortedPeers.lazy.compactMap { Self.node($0) },
            isProxied: map.dnsConfig.proxied,
            servesBothFamilies: map.selfNode.hasCapability("magicdns-aaaa"),
            extraRecords: records,
            routes: choice.routes,
            resolvers: choice.resolvers,
            acceptsDNS: acceptsDNS
        )
    }

    /// A node as the resolver knows it; nil for one without a name.
    static func node(_ node: Tailcfg.Node) -> DNSZone.Node? {
        guard let name = DNSName(node.name), !name.isRoot else { return nil }
        return DNSZone.Node(
            name: name,
            addresses: node.addresses.map(\.address),
            answersSubdomains: node.hasCapability("dns-subdomain-resolve")
        )
    }
}

extension DNSUpstream {
    /// The resolver as control names it.
    init(_ resolver: DNSResolver) { self.init(resolver.address, bootstrap: resolver.bootstrapResolution) }
}

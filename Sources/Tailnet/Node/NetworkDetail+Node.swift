import Magicsock
import NetTypes
import Tailcfg
import WarrenModel

extension PeerStatus {
    /// A peer as the map describes it, without what only the data plane knows.
    init(_ node: Node) {
        self.init(
            name: node.name,
            nodeId: node.stableID.isEmpty ? nil : node.stableID,
            addresses: node.addresses.map { "\($0.address)" },
            routes: node.effectiveAllowedIPs.filter { !node.addresses.contains($0) }.map(\.description),
            online: node.online,
            exitNode: node.isExitNodeCandidate
        )
    }

    /// Adds what the data plane knows.
    mutating func add(_ known: PlaneSnapshot.Peer, at now: Timestamp) {
        switch known.path.path {
        case .direct(let address):
            path = "direct"
            endpoint = "\(address)"
            latencyMs = known.path.latency?.milliseconds
        case .relay(let code): path = "derp:\(code)"
        case .none: break
        }
        region = known.path.regionCode
        endpoints = known.path.endpoints.map {
            PeerEndpointStatus(
                address: "\($0.address)",
                sources: $0.sources.map(\.rawValue),
                latencyMs: $0.latency?.milliseconds,
                lastPong: $0.pongAge.map { now + (.zero - $0) }
            )
        }
        rxBytes = known.path.receivedByteCount
        txBytes = known.path.sentByteCount
        lastHandshake = known.handshakeAge.map { now + (.zero - $0) }
        lastSend = known.path.sendAge.map { now + (.zero - $0) }
    }
}

extension NetworkDetail {
    /// Joins what the node's status, its map and its data plane know.
    init(
        status: NetworkStatus,
        snapshot: PlaneSnapshot?,
        map: NetworkMap?,
        preferences: NodePreferences
    ) {
        self.init(status: status)
        let now = Timestamp.wallClock
        peers = (map?.sortedPeers ?? []).map { node in
            var peer = PeerStatus(node)
            if let known = snapshot?.peers[node.id] { peer.add(known, at: now) }
            return peer
        }
        if let snapshot { netcheck = NetcheckReport(snapshot, at: now) }
        if let config = map?.dnsConfig {
            dns = DNSReport(
                magicDns: config.proxied,
                searchDomains: preferences.acceptDNS ? config.domains : [],
                resolvers: snapshot?.dns.resolvers ?? [],
                routes: snapshot?.dns.routes ?? [:],
                forwards: snapshot?.dns.forwards ?? false
            )
        }
        routes = snapshot?.routes ?? []
        drops = snapshot?.drops ?? [:]
    }
}

extension NetcheckReport {
    /// What the socket measured; nil before its first report.
    init?(_ snapshot: PlaneSnapshot, at now: Timestamp) {
        guard let report = snapshot.report, let check = snapshot.netCheck else { return nil }
        self.init(
            reportedAt: now + (.zero - check.age),
            udp: check.hasUDP,
            endpoints: report.endpoints.map { "\($0.address)" }
        )
        ipv4 = check.hasIPv4
        ipv6 = check.hasIPv6
        nat = check.mappingVariesByDestination.map { $0 ? .endpointDependent : .endpointIndependent }
        publicIpv4 = check.publicIPv4.map { "\($0)" }
        publicIpv6 = check.publicIPv6.map { "\($0)" }
        home = check.homeCode
        regions = check.regions.map { region in
            Region(
                id: Int(region.id.rawValue),
                code: region.code,
                name: region.name,
                ipv4Ms: region.latencyIPv4?.milliseconds,
                ipv6Ms: region.latencyIPv6?.milliseconds,
                httpsMs: region.latencyHTTPS?.milliseconds
            )
        }
        for region in regions {
            derpLatencyMs[region.code] = [region.ipv4Ms, region.ipv6Ms, region.httpsMs].compactMap { $0 }.min()
        }
        relays = snapshot.relays.map {
            Relay(region: $0.code, state: $0.state.rawValue, home: $0.isHome, problem: $0.problem)
        }
    }
}

extension Duration {
    /// The duration in milliseconds.
    fileprivate var milliseconds: Double { fractionalSeconds * 1000 }
}

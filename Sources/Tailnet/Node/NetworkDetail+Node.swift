import Magicsock
import NetTypes
import Tailcfg
import WarrenModel

extension PeerStatus {
    /// A peer as the map describes it, without what only the data plane knows.
    init(_ node: Node) {
        self.init(
            name: node.name,
            addresses: node.addresses.map { "\($0.address)" },
            online: node.online,
            exitNode: node.isExitNodeCandidate
        )
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
            guard let known = snapshot?.peers[node.id] else { return peer }
            switch known.path.path {
            case .direct(let address):
                peer.path = "direct"
                peer.endpoint = "\(address)"
                peer.latencyMs = known.path.latency.map { $0.fractionalSeconds * 1000 }
            case .relay(let code): peer.path = "derp:\(code)"
            case .none: break
            }
            peer.rxBytes = known.path.receivedByteCount
            peer.txBytes = known.path.sentByteCount
            peer.lastHandshake = known.handshakeAge.map { now + (.zero - $0) }
            return peer
        }
        if let report = snapshot?.report {
            netcheck = NetcheckReport(
                udp: report.netInfo.workingUDP == true,
                endpoints: report.endpoints.map { "\($0.address)" },
                derpLatencyMs: Self.latencies(report.netInfo, map?.derpMap)
            )
        }
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

    private static func latencies(_ info: NetInfo, _ map: DERPMap?) -> [String: Double] {
        var result: [String: Double] = [:]
        for (key, seconds) in info.derpLatency {
            guard let id = Int64(key.prefix { $0 != "-" }) else { continue }
            let region = DERPRegionID(rawValue: id)
            let code = map?.regions[region]?.regionCode ?? "\(region)"
            result[code] = min(result[code] ?? .infinity, seconds * 1000)
        }
        return result
    }
}

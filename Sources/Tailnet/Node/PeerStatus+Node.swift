import FoundationEssentials
import Magicsock
import NetTypes
import Tailcfg
import WarrenModel

extension PeerStatus {
    /// A peer out of the network map, with what was exchanged with it.
    init(_ node: Node, traffic: NodeTraffic.Peer?, now: Date) {
        var path: String?
        var endpoint: String?
        switch traffic?.path.path {
        case .direct(let address):
            path = "direct"
            endpoint = "\(address)"
        case .relay(let code): path = "derp:\(code)"
        case .some(.none), nil: break
        }
        self.init(
            name: node.name, addresses: node.addresses.map { "\($0.address)" }, online: node.online, path: path,
            endpoint: endpoint, latencyMs: traffic?.path.latency.map { $0 / .milliseconds(1) },
            rxBytes: traffic?.path.receivedByteCount ?? 0, txBytes: traffic?.path.sentByteCount ?? 0,
            lastHandshake: traffic?.secondsSinceHandshake.map { Timestamp(now.addingTimeInterval(-$0)) }
        )
    }
}

extension NetcheckReport {
    /// What the socket found out about the network.
    init(_ report: MagicSocketReport, regions: DERPMap?) {
        var latency: [String: Double] = [:]
        for (key, seconds) in report.netInfo.derpLatency {
            let id = key.prefix { $0 != "-" }
            let code = regions?.regions.values.first { "\($0.regionID)" == id }?.regionCode ?? String(id)
            latency[code] = min(latency[code] ?? .infinity, seconds * 1000)
        }
        self.init(
            udp: report.netInfo.workingUDP ?? false, endpoints: report.endpoints.map { "\($0.address)" },
            derpLatencyMs: latency
        )
    }
}

extension Timestamp {
    /// The moment of a date, cut to milliseconds.
    init(_ date: Date) {
        self.init(millisecondsSinceEpoch: Int64((date.timeIntervalSince1970 * 1000).rounded(.down)))
    }

    /// The moment of a control server's time.
    init(_ time: ControlTime) {
        self.init(millisecondsSinceEpoch: time.seconds * 1000 + Int64(time.nanoseconds) / 1_000_000)
    }
}

import NetTypes
import Tailcfg

extension MagicSocket {
    /// How this peer is reached right now.
    package func status(of peer: MagicPeer) -> PeerPathStatus {
        let now = self.now
        let region = relayRegion(of: peer)
        let path: PeerPathStatus.Path
        if let plain = peer.plain {
            path = plain.isProven ? plain.current.map { .direct($0) } ?? .none : .none
        } else if peer.endpoint.isTrusted(at: now), let best = peer.endpoint.best {
            path = .direct(best.address)
        } else {
            path = region.isNone ? .none : .relay(code: derp.code(of: region))
        }
        return PeerPathStatus(
            path: path,
            latency: peer.endpoint.best?.latency,
            region: region.isNone ? nil : region,
            regionCode: region.isNone ? nil : derp.code(of: region),
            sentByteCount: peer.sentByteCount,
            receivedByteCount: peer.receivedByteCount,
            endpoints: peer.endpoint.candidateList.map { PeerPathStatus.Endpoint($0, $1, at: now) },
            sendAge: peer.endpoint.lastSend.map { now - $0 }
        )
    }

    /// What the last reports found; nil before the first is over.
    package var netCheck: NetCheckSummary? {
        guard let report = discovery.lastReport, let updatedAt = discovery.updatedAt else { return nil }
        let full = discovery.lastFullReport ?? report
        let regions = (discovery.map?.regions.values ?? [:].values).sorted { $0.regionID < $1.regionID }
        let home = derp.home
        return NetCheckSummary(
            age: now - updatedAt,
            regions: regions.map { region in
                let id = region.regionID
                return NetCheckSummary.Region(
                    id: id,
                    code: derp.code(of: id),
                    name: region.regionName,
                    latencyIPv4: report.latencyIPv4[id] ?? full.latencyIPv4[id],
                    latencyIPv6: report.latencyIPv6[id] ?? full.latencyIPv6[id],
                    latencyHTTPS: report.latencyHTTPS[id]
                )
            },
            hasUDP: report.hasUDP,
            hasIPv4: !report.latencyIPv4.isEmpty,
            hasIPv6: !report.latencyIPv6.isEmpty,
            mappingVariesByDestination: report.mappingVariesByDestination ?? full.mappingVariesByDestination,
            publicIPv4: report.seenIPv4.first,
            publicIPv6: report.seenIPv6.first,
            home: home,
            homeCode: home.isNone ? nil : derp.code(of: home)
        )
    }

    /// The relay connections that stand or are wanted, with what the relays say about them.
    package var relays: [RelayStatus] { derp.status }
}

extension PeerPathStatus.Endpoint {
    init(_ address: AddressPort, _ candidate: PathCandidate, at now: MonotonicTime) {
        let sources: [(PeerPathStatus.Source, Bool)] = [
            (.netmap, candidate.isInNetworkMap),
            (.callMeMaybe, candidate.isFromCallMeMaybe),
            (.ping, candidate.lastPingReceived != nil),
        ]
        self.init(
            address: address,
            sources: sources.filter(\.1).map(\.0),
            pingAge: candidate.lastPingSent.map { now - $0 },
            pongAge: candidate.lastPong.map { now - $0 },
            latency: candidate.latency
        )
    }
}

import ControlPlane
import Magicsock
import NIOCore
import NetTypes
import Tailcfg
package import WarrenModel

extension TailnetNode {
    /// Why a peer cannot be pinged at all.
    package enum PingRefusal: Error, Equatable, Sendable {
        /// The node does not take part in a tailnet at the moment.
        case notRunning
        /// The tailnet has no such peer.
        case noSuchPeer
    }

    /// Asks a peer for signs of life, one after another, ten seconds each at the most.
    package func ping(_ request: NetworkPingRequest) async throws(PingRefusal) -> NetworkPingAnswer {
        guard status.state == .running, let map else { throw .notRunning }
        guard let peer = PeerLookup.peer(request.peer, in: map.sortedPeers),
            let address = IPAddress(request.peer) ?? peer.ipv4.map({ .v4($0) }) ?? peer.ipv6.map({ .v6($0) })
        else { throw .noSuchPeer }
        let kind: PingKind =
            switch request.kind {
            case .disco: .disco
            case .tsmp: .tsmp
            case .icmp: .icmp
            }
        var replies: [NetworkPingReply] = []
        while replies.count < request.count, !Task.isCancelled {
            replies.append(await Self.reply(ask(kind, address)))
        }
        let answer = NetworkPingAnswer(
            peer: peer.name,
            address: "\(address)",
            kind: request.kind,
            replies: replies
        )
        guard let answer else { throw .notRunning }
        return answer
    }

    /// Probes a peer for control; nil for what this node does not do.
    func probe(_ kind: ControlPing.ProbeKind, _ address: IPAddress) async -> PingResponse? {
        let way: PingKind
        switch kind {
        case .disco: way = .disco
        case .tsmp: way = .tsmp
        case .icmp: way = .icmp
        case .peerapi: return nil
        }
        var response = PingResponse(type: kind.rawValue)
        response.ip = "\(address)"
        if map?.selfNode.addresses.contains(IPPrefix(address)) == true {
            response.isLocalIP = true
            return response
        }
        switch await ask(way, address) {
        case .failure(let error): response.error = error.text
        case .success(let outcome):
            let node = map?.peers[outcome.peer]
            response.nodeIP = node?.addresses.first.map { "\($0.address)" } ?? ""
            response.nodeName = node?.name ?? ""
            response.latencySeconds = outcome.latency.fractionalSeconds
            response.endpoint = outcome.endpoint.map { "\($0)" } ?? ""
            response.derpRegionCode = outcome.relay ?? ""
            response.derpRegionID =
                map?.derpMap?.regions.values.first { $0.regionCode == outcome.relay }?.regionID ?? .none
        }
        return response
    }

    private func ask(_ kind: PingKind, _ address: IPAddress) async -> Result<PingOutcome, PingError> {
        let box = plane
        let loop = eventLoop
        do {
            return .success(
                try await loop.flatSubmit {
                    box.value?.ping(kind, address) ?? loop.makeFailedFuture(PingError.stopped)
                }.get()
            )
        } catch { return .failure(error as? PingError ?? .stopped) }
    }

    private static func reply(_ outcome: Result<PingOutcome, PingError>) -> NetworkPingReply {
        switch outcome {
        case .success(let outcome):
            NetworkPingReply(
                latencyMs: outcome.latency.fractionalSeconds * 1000,
                region: outcome.relay,
                endpoint: outcome.endpoint.map { "\($0)" }
            )
        case .failure(let error): NetworkPingReply(error: error.text)
        }
    }
}

extension PingError {
    /// A word for programs.
    fileprivate var text: String {
        switch self {
        case .noSuchPeer: "no-peer"
        case .noOwnAddress: "no-address"
        case .noDisco: "no-disco"
        case .tooMany: "too-many"
        case .timedOut: "timed-out"
        case .stopped: "stopped"
        }
    }
}

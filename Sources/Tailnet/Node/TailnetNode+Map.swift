import ControlPlane
import FoundationEssentials
import Logging
import Magicsock
import NetTypes
import Tailcfg
import WarrenCrypto
import WarrenModel

/// Why polling the map came to an end.
enum PollEnding: Hashable, Sendable {
    /// The server does not know the key any more, or the task was cancelled: log in again with the current key.
    case failed
    /// The key has expired: log in with a new one.
    case needsNewKey
}

extension TailnetNode {
    /// Polls the map, again and again, until the node has to log in anew.
    func poll(_ client: ControlClient) async -> PollEnding {
        var backoff = Backoff()
        var refusals = 0
        var generator = SystemRandomNumberGenerator()
        while !Task.isCancelled {
            let stream = MapStream()
            let request = MapRequest(
                version: .current, nodeKey: identity.nodeKey.publicKey, discoKey: plane.discoKey,
                hostinfo: hostinfo(await plane.report()?.netInfo)
            )
            do throws(ControlError) {
                try await client.mapPoll(await filled(request)) { response in
                    await self.take(response, on: stream, from: client)
                }
            } catch {
                guard !Task.isCancelled else { break }
                if case .httpStatus(let code, _) = error, [401, 403, 404, 410].contains(code) { refusals += 1 } else { refusals = 0 }
                note(error)
            }
            await plane.setControlConnected(false)
            if await stream.sawMap {
                backoff.reset()
                refusals = 0
            }
            if await stream.isExpired { return .needsNewKey }
            if refusals >= 3 { return .failed }
            guard (try? await ContinuousClock().sleep(for: backoff.next(using: &generator))) != nil else { break }
        }
        return .failed
    }

    /// Publishes endpoints and what is known of the network, once now and on every change; only the newest state counts.
    func publish(_ client: ControlClient) async {
        var backoff = Backoff()
        var generator = SystemRandomNumberGenerator()
        var level: Int64 = -1
        while !Task.isCancelled {
            let newest = await plane.reportSignal.wait(above: level)
            guard !Task.isCancelled else { return }
            guard let report = await plane.report() else {
                level = newest
                continue
            }
            let request = MapRequest(
                version: .current, nodeKey: identity.nodeKey.publicKey, discoKey: plane.discoKey,
                hostinfo: hostinfo(report.netInfo)
            )
            do throws(ControlError) {
                try await client.update(await filled(request))
                level = newest
                backoff.reset()
                change { $0.homeDerp = homeDERP(report) }
            } catch {
                guard (try? await ContinuousClock().sleep(for: backoff.next(using: &generator))) != nil else { return }
            }
        }
    }

    /// Adds the endpoints; a node without any reports the dummy one, without which some servers stream no map.
    private func filled(_ request: MapRequest) async -> MapRequest {
        var request = request
        let endpoints = await plane.report()?.endpoints ?? []
        if endpoints.isEmpty {
            request.endpoints = NodeConstants.dummyEndpoint.map { [$0] }
            request.endpointTypes = [.local]
        } else {
            request.endpoints = endpoints.map(\.address)
            request.endpointTypes = endpoints.map(\.type)
        }
        return request
    }

    private func take(_ response: MapResponse, on stream: MapStream, from client: ControlClient) async {
        if let ping = response.pingRequest {
            // A ping that cannot be answered is asked again by who wants to know.
            try? await client.answerPing(ping) { _, _ in nil }
        }
        guard let change = await stream.apply(response), let next = await stream.map else { return }
        map = next
        await plane.setControlConnected(true)
        let now = ControlTime(.now)
        if next.isSelfExpired(at: now) {
            await stream.expire()
            self.change {
                $0.enter(.needsLogin, reason: NodeReason.keyExpired, now: .epoch)
                $0.keyExpiry = Timestamp(next.selfNode.keyExpiry)
            }
            await plane.clear()
            return
        }
        let routes = RouteTable(peers: next.sortedPeers, preferences: RoutePreferences(), now: next.correctedTime(now))
        await plane.apply(
            NodeTables(
                map: next, routes: routes, hostname: Self.label(of: next.selfNode.name) ?? configuration.hostname,
                acceptsDNS: configuration.acceptsDNS
            )
        )
        show(next)
        if change.selfNode || change.allPeers || !change.changedPeers.isEmpty || !change.removedPeers.isEmpty {
            netmapChanged()
        }
    }

    private func show(_ map: NetworkMap) {
        change { status in
            status.enter(map.selfNode.machineAuthorized ? .running : .needsMachineAuth, now: .epoch)
            status.addresses = map.selfNode.addresses.map { "\($0.address)" }
            status.dnsName = map.selfNode.name
            status.nodeId = map.selfNode.stableID
            status.tailnet = map.domain
            status.keyExpiry = map.selfNode.keyExpiry.isZero ? nil : Timestamp(map.selfNode.keyExpiry)
            status.peerCount = map.peers.count
            status.health = map.messages.sorted { $0.key < $1.key }.map { $0.value.text.isEmpty ? $0.value.title : $0.value.text }
            if !map.selfNode.machineAuthorized { status.stateReason = NodeReason.awaitingApproval }
        }
    }

    private func homeDERP(_ report: MagicSocketReport) -> HomeDERP? {
        let region = report.netInfo.preferredDERP
        guard !region.isNone else { return nil }
        let latency = report.netInfo.derpLatency.filter { $0.key.hasPrefix("\(region)-") }.values.min()
        return HomeDERP(
            regionId: Int(region.rawValue), regionCode: map?.derpMap?.regions[region]?.regionCode ?? "\(region)",
            latencyMs: latency.map { $0 * 1000 }
        )
    }

    private static func label(of name: String) -> String? {
        name.split(separator: ".").first.map(String.init)
    }
}

/// The merge state of one map stream: a new stream starts from scratch.
private actor MapStream {
    private var reducer = NetworkMapReducer()
    private(set) var sawMap = false
    private(set) var isExpired = false

    var map: NetworkMap? { reducer.map }

    func apply(_ response: MapResponse) -> NetworkMapChange? {
        // The client has made sure that the first real message names the node.
        guard let change = try? reducer.apply(response, now: ControlTime(.now)) else { return nil }
        sawMap = true
        return change
    }

    func expire() { isExpired = true }
}

/// Values of the protocol.
enum NodeConstants {
    /// What a node without UDP publishes (upstream's browser client); of no use to anybody.
    static let dummyEndpoint = AddressPort("[fe80:123:456:789::1]:12345")
}

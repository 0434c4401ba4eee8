import ControlPlane
import FoundationEssentials
import Glibc
import Logging
import Magicsock
import NetTypes
import Tailcfg
import WarrenCrypto
import WarrenModel

extension TailnetNode {
    /// Tells control what it must know whenever that changes: one update at a time, always the newest state.
    func publishReachability(_ client: ControlClient) async {
        var generator = SystemRandomNumberGenerator()
        var level: Int64 = 0
        while !Task.isCancelled {
            level = await reachability.signal.wait(above: level)
            noteHome()
            guard isPolling, reachability.value != nil else { continue }
            var backoff = Backoff()
            while !Task.isCancelled, isPolling {
                let request = mapRequest
                // Round trips change all the time, and nobody acts on them.
                guard request.withoutLatencies != published else { break }
                do throws(ControlError) {
                    try await client.update(request)
                    published = request.withoutLatencies
                } catch {
                    logger.debug("update failed", metadata: ["error": "\(error)"])
                    try? await clock.sleep(for: backoff.next(using: &generator))  // Checked at the top.
                }
            }
        }
    }

    private func noteHome() {
        guard let report = reachability.value else { return }
        let region = report.netInfo.preferredDERP
        let definition = map?.derpMap?.regions[region]
        let latency = ["\(region)-v4", "\(region)-v6"].compactMap { report.netInfo.derpLatency[$0] }.min()
        change { status in
            status.homeDerp =
                region.isNone
                ? nil
                : HomeDERP(
                    regionId: Int(region.rawValue),
                    regionCode: definition?.regionCode ?? "\(region)",
                    latencyMs: latency.map { $0 * 1000 }
                )
        }
    }

    /// The current state as control is told it, by the poll and by updates.
    var mapRequest: MapRequest {
        var request = MapRequest(
            version: .current,
            nodeKey: identity.nodeKey.publicKey,
            discoKey: discoKey,
            hostinfo: hostinfo
        )
        let endpoints = reachability.value?.endpoints ?? [.placeholder]
        request.endpoints = endpoints.map(\.address)
        request.endpointTypes = endpoints.map(\.type)
        return request
    }

    /// What the node says about its host and its owner's preferences.
    var hostinfo: Hostinfo {
        var info = Hostinfo()
        info.ipnVersion = "1.98.0-warren"
        info.backendLogID = identity.logID
        info.os = "linux"
        info.osVersion = Self.host.release
        info.hostname = preferences.hostname
        info.goArch = Self.host.architecture
        info.app = "warren"
        info.userspace = true
        info.userspaceRouter = true
        info.shieldsUp = preferences.shieldsUp
        info.routableIPs = preferences.advertiseRoutes
        info.requestTags = preferences.tags
        info.exitNodeID = translation.exitNode.stableID
        info.netInfo = reachability.value?.netInfo
        return info
    }

    /// The host's kernel and processor; the guest's are its own affair.
    private static let host: (release: String, architecture: String) = {
        var name = utsname()
        guard uname(&name) == 0 else { return ("", "") }
        let machine = withUnsafeBytes(of: &name.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let goNames = ["x86_64": "amd64", "aarch64": "arm64"]
        return (
            withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) },
            goNames[machine] ?? machine
        )
    }()
}

extension MapRequest {
    /// The request as far as others act on it.
    fileprivate var withoutLatencies: MapRequest {
        var copy = self
        copy.hostinfo?.netInfo?.derpLatency = [:]
        return copy
    }
}

package import NetTypes
package import Tailcfg

/// What one round of STUN probes found out.
package struct NetCheckReport: Hashable, Sendable {
    /// The fastest answer of each region over either family.
    package var latency: [DERPRegionID: Duration] = [:]
    /// The fastest answers over IPv4.
    package var latencyIPv4: [DERPRegionID: Duration] = [:]
    /// The fastest answers over IPv6.
    package var latencyIPv6: [DERPRegionID: Duration] = [:]
    /// The fastest answers by HTTPS; measured only when no STUN server answers.
    package var latencyHTTPS: [DERPRegionID: Duration] = [:]
    /// The different addresses that servers saw over IPv4, in the order of their answers.
    package var seenIPv4: [AddressPort] = []
    /// The different addresses that servers saw over IPv6.
    package var seenIPv6: [AddressPort] = []
    /// The servers that answered over IPv4.
    package var serversIPv4: Set<AddressPort> = []

    /// A report of nothing.
    package init() {}

    /// Whether two destinations saw different mappings; nil with fewer than two of them.
    package var mappingVariesByDestination: Bool? {
        serversIPv4.count < 2 ? nil : seenIPv4.count > 1
    }

    /// Whether any server answered, in whatever way.
    package var hasAnswers: Bool { !latency.isEmpty }
    /// Whether any server answered by UDP.
    package var hasUDP: Bool { !latencyIPv4.isEmpty || !latencyIPv6.isEmpty }

    mutating func add(_ region: DERPRegionID, latency: Duration, seen: AddressPort, by server: AddressPort) {
        self.latency[region] = min(self.latency[region] ?? latency, latency)
        if server.address.isIPv4 {
            latencyIPv4[region] = min(latencyIPv4[region] ?? latency, latency)
            serversIPv4.insert(server)
            if !seenIPv4.contains(seen) { seenIPv4.append(seen) }
        } else {
            latencyIPv6[region] = min(latencyIPv6[region] ?? latency, latency)
            if !seenIPv6.contains(seen) { seenIPv6.append(seen) }
        }
    }

    mutating func add(_ region: DERPRegionID, latencyHTTPS: Duration) {
        self.latencyHTTPS[region] = latencyHTTPS
        latency[region] = min(latency[region] ?? latencyHTTPS, latencyHTTPS)
    }

    /// The report in the words of control.
    package func netInfo(home: DERPRegionID, hasIPv6: Bool) -> NetInfo {
        var info = NetInfo()
        info.mappingVariesByDestIP = mappingVariesByDestination
        info.workingUDP = hasUDP
        info.workingIPv6 = !latencyIPv6.isEmpty
        info.osHasIPv6 = hasIPv6
        info.preferredDERP = home
        for (region, latency) in latencyIPv4 { info.derpLatency["\(region)-v4"] = latency.fractionalSeconds }
        for (region, latency) in latencyIPv6 { info.derpLatency["\(region)-v6"] = latency.fractionalSeconds }
        return info
    }
}

extension Duration {
    /// The duration in seconds.
    package var fractionalSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}

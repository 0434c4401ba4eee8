package import NetTypes

/// A way to a peer by UDP and how well it does, comparable to another way (tailscale magicsock `betterAddr`).
package struct PathQuality: Hashable, Sendable {
    /// Where datagrams go.
    package var address: AddressPort
    /// The round trip that the last pong proved.
    package var latency: Duration
    /// The largest datagram, IP header included, that was proven to pass.
    package var provenMTU: Int
    /// The virtual network of a UDP relay at `address`; nil for a direct path.
    package var relayNetwork: UInt32?

    /// Describes a path.
    package init(address: AddressPort, latency: Duration, provenMTU: Int = 0, relayNetwork: UInt32? = nil) {
        self.address = address
        self.latency = latency
        self.provenMTU = provenMTU
        self.relayNetwork = relayNetwork
    }

    /// Whether `first` is to be preferred to `second`; nil is "no path".
    package static func isBetter(_ first: PathQuality?, than second: PathQuality?) -> Bool {
        guard let first else { return false }
        guard let second else { return true }
        if first.address == second.address, first.relayNetwork == second.relayNetwork {
            return first.provenMTU > second.provenMTU
        }
        if (first.relayNetwork == nil) != (second.relayNetwork == nil) { return first.relayNetwork == nil }
        var (firstPoints, secondPoints) = speedPoints(
            first.latency.wholeNanoseconds,
            second.latency.wholeNanoseconds
        )
        firstPoints += first.localityPoints
        secondPoints += second.localityPoints
        // A gain of a percent is noise: without this, two equal paths take turns.
        if firstPoints <= 1, secondPoints == 0 { return false }
        return firstPoints > secondPoints
    }

    // The faster one gets the percentage that it saves, in integers as the reference does.
    private static func speedPoints(_ first: Int64, _ second: Int64) -> (Int64, Int64) {
        if first > second, first > 0 { return (0, 100 - second.savedPercentBase(of: first)) }
        if second > 0 { return (100 - first.savedPercentBase(of: second), 0) }
        return (0, 0)
    }

    private var localityPoints: Int64 {
        let ip = address.address
        let nearness: Int64 = ip.isLoopback ? 50 : ip.isLinkLocal ? 30 : ip.isPrivate ? 20 : 0
        return nearness + (ip.isIPv4 ? 0 : 10)
    }
}

extension Int64 {
    fileprivate func savedPercentBase(of slower: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: 100)
        // Latencies of years are no measurements; the quotient of the halves is as good.
        return overflow ? self / Swift.max(1, slower / 100) : product / slower
    }
}

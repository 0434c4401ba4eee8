package import NetTypes

/// Which reverse proxies are believed when they say for whom they ask.
package struct ProxyTrust: Hashable, Sendable {
    /// Where the proxies are.
    package let prefixes: [IPPrefix]

    /// Believes whoever connects from one of these prefixes.
    package init(prefixes: [IPPrefix] = []) { self.prefixes = prefixes }

    /// Whether an address is a proxy's.
    package func contains(_ address: IPAddress) -> Bool { prefixes.contains { $0.contains(address) } }

    /// The address of a client: the peer's own, or the last one in `X-Forwarded-For` that no believed proxy has.
    ///
    /// What stands before it was written by the client itself and could be anything. `forwardedFor` are the header's lines.
    package func client(of peer: IPAddress?, forwardedFor lines: [String]) -> IPAddress? {
        guard let peer = peer?.unmapped, contains(peer) else { return peer?.unmapped }
        var client = peer
        let hops = lines.flatMap { $0.split(separator: ",") }
        for hop in hops.reversed() {
            guard let address = IPAddress(String(hop).filter { !$0.isWhitespace })?.unmapped else { return client }
            client = address
            guard contains(address) else { return client }
        }
        return client
    }
}

extension IPAddress {
    /// What limits count for: an IPv6 host has a whole /64 to call from.
    var limitKey: IPAddress {
        switch unmapped {
        case .v4: unmapped
        case .v6: IPPrefix(unmapped, length: 64)?.masked.address ?? unmapped
        }
    }
}

package import NetTypes

/// Whom MagicDNS may ask about names that the tailnet has no answer for.
package enum DNSForwardingRule: Sendable {
    /// Resolvers inside the tailnet, or behind its exit node: the host's network is never used.
    case tailnet
    /// Those that the tailnet names by the host's network too, and where it names none the host's own, which are these.
    case host(resolvers: [AddressPort])
}

/// Tells how a resolver is reached, so that no query leaves by a way that the guest itself does not have.
struct DNSReach: Sendable {
    /// The node's addresses.
    var own: [IPAddress] = []
    /// What the daemon allows.
    var rule = DNSForwardingRule.tailnet
    /// Whether an exit node is chosen, be it there or not: then nothing leaves by the host's network.
    var usesExitNode = false
    /// Which addresses others may name.
    var policy: any DialPolicy

    /// The way to an address; nil when there is none.
    ///
    /// `isRouted` tells whether a peer takes packets for it.
    func way(to address: IPAddress, isRouted: (IPAddress) -> Bool) -> DNSWay? {
        // Asking the guest or ourselves would turn in circles.
        guard !own.contains(address), !TailnetAddresses.isService(address), !address.isUnspecified,
            !address.isMulticast
        else { return nil }
        if isRouted(address) { return source(towards: address) == nil ? nil : .tunnel }
        guard case .host(let resolvers) = rule, !usesExitNode, !TailnetAddresses.contains(address) else { return nil }
        return resolvers.contains { $0.address == address } || policy.permits(address, for: .resolver) ? .host : nil
    }

    /// The own address that packets to `address` come from.
    func source(towards address: IPAddress) -> IPAddress? {
        own.first { $0.isIPv4 == address.isIPv4 }
    }
}

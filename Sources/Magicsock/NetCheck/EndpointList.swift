package import NetTypes
package import Tailcfg

/// One address at which peers may reach this node, and how it was found.
package struct PublishedEndpoint: Hashable, Sendable {
    /// Where to send.
    package var address: AddressPort
    /// How it was found.
    package var type: EndpointType

    /// Joins the two.
    package init(_ address: AddressPort, _ type: EndpointType) {
        self.address = address
        self.type = type
    }

    /// What a node without any address publishes: control has been seen to keep the map from one that publishes nothing.
    ///
    /// Peers know it and never try it.
    package static let placeholder = PublishedEndpoint(
        AddressPort(.v6(IPv6Address(high: 0xFE80_0123_0456_0789, low: 1)), port: 12345),
        .local
    )
}

/// Builds the list of endpoints to publish, in the order that control and peers expect.
package struct EndpointList: Sendable {
    /// What STUN saw over IPv4, first answer first.
    package var stunIPv4: [AddressPort] = []
    /// What STUN saw over IPv6.
    package var stunIPv6: [AddressPort] = []
    /// What earlier reports saw, in the order to publish.
    package var remembered: [PublishedEndpoint] = []
    /// Whether STUN servers saw different mappings, so that only the forwarded local port may work for others.
    package var mappingVaries = false
    /// Whether the local port is a configured one that someone may have forwarded.
    package var hasFixedPort = false
    /// The port of the IPv4 socket; nil without one.
    package var portIPv4: UInt16?
    /// The port of the IPv6 socket; nil without one.
    package var portIPv6: UInt16?
    /// The one address that the IPv4 socket is bound to; nil when it is bound to all.
    package var boundAddress: IPAddress?
    /// The addresses of this machine's interfaces.
    package var interfaceAddresses: [IPAddress] = []
    /// Whether loopback is published beside other addresses, because everything of this tailnet is on one machine.
    package var includesLoopback = false

    /// A list without sources.
    package init() {}

    /// The endpoints without duplicates: STUN, the forwarded port, what was seen before, the machine's own addresses.
    package var endpoints: [PublishedEndpoint] {
        var seen: Set<AddressPort> = []
        return (publicEndpoints + remembered + localEndpoints).filter { seen.insert($0.address).inserted }
    }

    /// What the newest report says about how others see this node.
    package var publicEndpoints: [PublishedEndpoint] {
        var result = (stunIPv4 + stunIPv6).map { PublishedEndpoint($0, .stun) }
        if mappingVaries, hasFixedPort, let portIPv4, let first = stunIPv4.first {
            result.append(PublishedEndpoint(AddressPort(first.address, port: portIPv4), .stunIPv4LocalPort))
        }
        return result
    }

    private var localEndpoints: [PublishedEndpoint] {
        localAddresses.compactMap { address in
            (address.isIPv4 ? portIPv4 : portIPv6).map { PublishedEndpoint(AddressPort(address, port: $0), .local) }
        }
    }

    private var localAddresses: [IPAddress] {
        if let boundAddress { return [boundAddress] }
        let usable = interfaceAddresses.filter {
            !$0.isLinkLocal && !$0.isMulticast && !$0.isUnspecified && !TailnetAddresses.contains($0)
        }
        let others = usable.filter { !$0.isLoopback }
        return includesLoopback || others.isEmpty ? others + usable.filter(\.isLoopback) : others
    }
}

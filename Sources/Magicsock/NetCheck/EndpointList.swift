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

    /// The endpoints without duplicates: STUN, then the forwarded port, then the machine's own addresses.
    package var endpoints: [PublishedEndpoint] {
        var result: [PublishedEndpoint] = []
        var seen: Set<AddressPort> = []
        func add(_ address: AddressPort, _ type: EndpointType) {
            guard seen.insert(address).inserted else { return }
            result.append(PublishedEndpoint(address, type))
        }
        for address in stunIPv4 + stunIPv6 { add(address, .stun) }
        if mappingVaries, hasFixedPort, let portIPv4, let first = stunIPv4.first {
            add(AddressPort(first.address, port: portIPv4), .stunIPv4LocalPort)
        }
        for address in localAddresses {
            guard let port = address.isIPv4 ? portIPv4 : portIPv6 else { continue }
            add(AddressPort(address, port: port), .local)
        }
        return result
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

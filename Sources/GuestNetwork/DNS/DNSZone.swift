package import NetTypes
package import NetWire

/// What the resolver at 100.100.100.100 knows: names, zones that it owns, and who is asked for the rest.
package struct DNSZone: Sendable {
    /// A node of the tailnet as DNS sees it.
    package struct Node: Sendable {
        /// The full name, such as `alpha.tail1234.ts.net.`.
        package let name: DNSName
        /// The node's own addresses.
        package let addresses: [IPAddress]
        /// Whether every name below the node's is the node's too.
        package let answersSubdomains: Bool

        /// A node of these values.
        package init(name: DNSName, addresses: [IPAddress], answersSubdomains: Bool = false) {
            self.name = name
            self.addresses = addresses
            self.answersSubdomains = answersSubdomains
        }
    }

    /// The resolver's own name.
    static let serviceName = DNSName("magicdns.localhost-tailscale-daemon") ?? .root

    private var addresses: [DNSName: [IPAddress]]
    private var names: [IPAddress: DNSName]
    private var subdomainOwners: Set<DNSName>
    private var authoritative: Set<DNSName>
    /// The resolvers by suffix; those for everything else stand under the root.
    private(set) var routes: [DNSName: [DNSUpstream]]
    private var naming = Naming()
    // What nodes were served with before another came with the same name.
    private var displaced: [DNSName: [[IPAddress]]] = [:]

    /// How nodes are served.
    private struct Naming: Sendable {
        /// The tailnet's domain; nil when short names are not served.
        var suffix: DNSName?
        var servesIPv4 = true
        var servesBothFamilies = false

        func served(_ addresses: [IPAddress]) -> [IPAddress] {
            let ipv4 = addresses.filter(\.isIPv4)
            let ipv6 = addresses.filter { !$0.isIPv4 }
            guard servesIPv4 else { return ipv6 }
            return servesBothFamilies ? ipv4 + ipv6 : ipv4.isEmpty ? ipv6 : ipv4
        }
    }

    /// A table of exactly these entries.
    ///
    /// The resolvers for everything else stand in `routes` under the root; an empty list under another name makes that
    /// name a zone of ours.
    package init(
        addresses: [DNSName: [IPAddress]] = [:],
        names: [IPAddress: DNSName] = [:],
        subdomainOwners: Set<DNSName> = [],
        authoritative: Set<DNSName> = [],
        routes: [DNSName: [DNSUpstream]] = [:]
    ) {
        self.addresses = addresses
        self.names = names
        self.subdomainOwners = subdomainOwners
        self.authoritative = authoritative.union(routes.lazy.filter { $0.value.isEmpty && !$0.key.isRoot }.map(\.key))
        self.routes = routes.filter { !$0.value.isEmpty }
    }

    /// The table of a node in its tailnet (tailscale ipn/ipnlocal dnsConfigForNetmap).
    ///
    /// - Parameters:
    ///   - own: The node itself; its name tells the tailnet's domain.
    ///   - peers: The other nodes that have a name.
    ///   - isProxied: Whether MagicDNS is on: only then are there short names and zones of ours.
    ///   - servesBothFamilies: Whether nodes with both families are served with both (`magicdns-aaaa`).
    ///   - extraRecords: Further addresses, in their order.
    ///   - routes: Resolvers by suffix; an empty list is a zone of ours.
    ///   - resolvers: Who is asked for everything else.
    ///   - acceptsDNS: Whether the node's owner wants the tailnet's DNS; without it only full names are served, and
    ///     `resolvers` are asked for everything else.
    package init(
        own: Node,
        peers: some Sequence<Node>,
        isProxied: Bool,
        servesBothFamilies: Bool = false,
        extraRecords: [(name: DNSName, address: IPAddress)] = [],
        routes: [DNSName: [DNSUpstream]] = [:],
        resolvers: [DNSUpstream] = [],
        acceptsDNS: Bool = true
    ) {
        self.init()
        let suffix = own.name.parent.flatMap { $0.isRoot ? nil : $0 }
        naming = Naming(
            suffix: isProxied && acceptsDNS ? suffix : nil,
            servesIPv4: own.addresses.contains(where: \.isIPv4) || own.addresses.isEmpty,
            servesBothFamilies: servesBothFamilies
        )
        insert(own)
        for peer in peers { insert(peer) }
        for record in extraRecords { addresses[record.name, default: []].append(record.address) }
        guard acceptsDNS else {
            if !resolvers.isEmpty { self.routes[.root] = resolvers }
            return
        }
        for (name, upstreams) in routes where !name.isRoot {
            if upstreams.isEmpty { authoritative.insert(name) } else { self.routes[name] = upstreams }
        }
        let general = resolvers.isEmpty ? routes[.root] ?? [] : resolvers
        if !general.isEmpty { self.routes[.root] = general }
        if isProxied {
            if let suffix { authoritative.insert(suffix) }
            authoritative.formUnion(Self.reverseZones)
        }
        for record in extraRecords where !isCovered(record.name) { authoritative.insert(record.name) }
    }

    /// Adds a node; of several with one name the last is served.
    package mutating func insert(_ node: Node) {
        guard !node.addresses.isEmpty, !node.name.isRoot else { return }
        let served = naming.served(node.addresses)
        serve(served, as: node.name)
        let name = node.name.lowercased
        for address in node.addresses { names[address] = name }
        if node.answersSubdomains { subdomainOwners.insert(node.name) }
        if let short = naming.suffix.flatMap(node.name.removing) { serve(served, as: short) }
    }

    /// Forgets a node; another one that has the same name is served again.
    package mutating func remove(_ node: Node) {
        guard !node.addresses.isEmpty, !node.name.isRoot else { return }
        let served = naming.served(node.addresses)
        let name = node.name.lowercased
        for address in node.addresses where names[address] == name { names[address] = nil }
        if withdraw(served, as: node.name) { subdomainOwners.remove(node.name) }
        if let short = naming.suffix.flatMap(node.name.removing) { _ = withdraw(served, as: short) }
    }

    private mutating func serve(_ served: [IPAddress], as name: DNSName) {
        if let other = addresses.updateValue(served, forKey: name) { displaced[name, default: []].append(other) }
    }

    /// Takes back what a node was served with; true when nobody has the name any more.
    private mutating func withdraw(_ served: [IPAddress], as name: DNSName) -> Bool {
        var others = displaced.removeValue(forKey: name) ?? []
        if addresses[name] == served {
            addresses[name] = others.popLast()
        } else if let place = others.firstIndex(of: served) {
            others.remove(at: place)
        }
        if !others.isEmpty { displaced[name] = others }
        return addresses[name] == nil
    }

    private func isCovered(_ name: DNSName) -> Bool {
        for ancestor in name.ancestors where authoritative.contains(ancestor) || routes[ancestor] != nil {
            // The root is the general resolvers, which cover nothing in particular.
            return !ancestor.isRoot
        }
        return false
    }

    /// The zones for addresses of tailnets.
    static let reverseZones: [DNSName] =
        (64...127).compactMap { DNSName("\($0).100.in-addr.arpa") }
        + [DNSName("0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa")].compactMap(\.self)

    /// The addresses of a name; nil when it has none.
    func addresses(of name: DNSName) -> [IPAddress]? {
        if let found = addresses[name] { return found }
        guard !subdomainOwners.isEmpty else { return nil }
        for ancestor in name.ancestors.dropFirst() where subdomainOwners.contains(ancestor) {
            return addresses[ancestor]
        }
        return nil
    }

    /// The name of an address; nil when no node has it.
    func name(of address: IPAddress) -> DNSName? {
        if let found = names[address] { return found }
        guard case .v6(let ipv6) = address, let owner = TailnetAddresses.owner(ofCompanion: ipv6) else { return nil }
        return names[.v4(owner)]
    }

    /// The zone of ours that a name belongs to; nil when a nearer suffix has resolvers.
    func authority(over name: DNSName) -> DNSName? {
        for ancestor in name.ancestors {
            if authoritative.contains(ancestor) { return ancestor }
            if routes[ancestor] != nil { return nil }
        }
        return nil
    }

    /// The resolvers of the longest suffix that has some.
    func upstreams(for name: DNSName) -> [DNSUpstream] {
        for ancestor in name.ancestors {
            if let found = routes[ancestor] { return found }
        }
        return []
    }
}

extension DNSName {
    /// The name, its parent, and so on to the root.
    var ancestors: some Sequence<DNSName> {
        sequence(first: self, next: \.parent)
    }

    /// The labels before a zone as a name of their own; nil when there are none.
    func removing(_ zone: DNSName) -> DNSName? {
        guard let offset = offset(of: zone), offset > 0 else { return nil }
        return DNSName(String(description.dropLast(zone.isRoot ? 0 : zone.description.count)))
    }
}

/// An upstream resolver as control names it.
package struct DNSResolver: Hashable, Sendable {
    /// An IP, `IP:port`, `https://…` (DoH), `http://ip:port/dns-query` (a peer's proxy) or `tls://…` (unusable).
    package var address: String
    /// Addresses of the resolver's own name.
    package var bootstrapResolution: [String] = []
    /// Whether the resolver stays in use while an exit node is selected.
    package var useWithExitNode = false

    /// Names a resolver.
    package init(address: String) { self.address = address }
}

extension DNSResolver: Codable {
    private enum CodingKeys: String, CodingKey {
        case address = "Addr"
        case bootstrapResolution = "BootstrapResolution"
        case useWithExitNode = "UseWithExitNode"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        address = try members.text(.address)
        bootstrapResolution = try members.list(.bootstrapResolution)
        useWithExitNode = try members.flag(.useWithExitNode)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(unlessEmpty: address, forKey: .address)
        try members.encode(unlessEmpty: bootstrapResolution, forKey: .bootstrapResolution)
        try members.encode(ifTrue: useWithExitNode, forKey: .useWithExitNode)
    }
}

/// An extra record that MagicDNS serves.
package struct DNSRecord: Hashable, Sendable {
    /// The name, with or without trailing dot.
    package var name: String
    /// `""`, `A` or `AAAA`; other types are ignored.
    package var type: String
    /// The address.
    package var value: String

    /// Describes a record.
    package init(name: String, type: String = "", value: String) {
        self.name = name
        self.type = type
        self.value = value
    }
}

extension DNSRecord: Codable {
    private enum CodingKeys: String, CodingKey {
        case name = "Name"
        case type = "Type"
        case value = "Value"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        name = try members.text(.name)
        type = try members.text(.type)
        value = try members.text(.value)
    }

    /// Writes the object.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(name, forKey: .name)
        try members.encode(unlessEmpty: type, forKey: .type)
        try members.encode(value, forKey: .value)
    }
}

/// What control wants of the node's resolver; every message replaces it as a whole.
package struct DNSConfig: Hashable, Sendable {
    /// Default upstreams; the host's own when empty.
    package var resolvers: [DNSResolver] = []
    /// Upstreams by suffix; null or empty means that the suffix is answered from local records only.
    package var routes: [String: [DNSResolver]?] = [:]
    /// Default upstreams when an exit node is in use and nothing else gives one.
    package var fallbackResolvers: [DNSResolver] = []
    /// Search domains in order; the first usually is the tailnet's suffix.
    package var domains: [String] = []
    /// Whether MagicDNS is on.
    package var proxied = false
    /// Addresses for clients before 2022.
    package var nameservers: [String] = []
    /// Names for which certificates may be requested.
    package var certDomains: [String] = []
    /// Extra records.
    package var extraRecords: [DNSRecord] = []
    /// Suffixes that an exit node must refuse as DNS proxy.
    package var exitNodeFilteredSet: [String] = []
    /// Ignored, carried.
    package var tempCorpIssue13969 = ""

    /// No DNS at all.
    package init() {}
}

extension DNSConfig: Codable {
    private enum CodingKeys: String, CodingKey {
        case resolvers = "Resolvers"
        case routes = "Routes"
        case fallbackResolvers = "FallbackResolvers"
        case domains = "Domains"
        case proxied = "Proxied"
        case nameservers = "Nameservers"
        case certDomains = "CertDomains"
        case extraRecords = "ExtraRecords"
        case exitNodeFilteredSet = "ExitNodeFilteredSet"
        case tempCorpIssue13969 = "TempCorpIssue13969"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        resolvers = try members.list(.resolvers)
        routes = try members.value(.routes, or: [:])
        fallbackResolvers = try members.list(.fallbackResolvers)
        domains = try members.list(.domains)
        proxied = try members.flag(.proxied)
        nameservers = try members.list(.nameservers)
        certDomains = try members.list(.certDomains)
        extraRecords = try members.list(.extraRecords)
        exitNodeFilteredSet = try members.list(.exitNodeFilteredSet)
        tempCorpIssue13969 = try members.text(.tempCorpIssue13969)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(unlessEmpty: resolvers, forKey: .resolvers)
        try members.encode(unlessEmpty: routes, forKey: .routes)
        try members.encode(unlessEmpty: fallbackResolvers, forKey: .fallbackResolvers)
        try members.encode(unlessEmpty: domains, forKey: .domains)
        try members.encode(ifTrue: proxied, forKey: .proxied)
        try members.encode(unlessEmpty: nameservers, forKey: .nameservers)
        try members.encode(unlessEmpty: certDomains, forKey: .certDomains)
        try members.encode(unlessEmpty: extraRecords, forKey: .extraRecords)
        try members.encode(unlessEmpty: exitNodeFilteredSet, forKey: .exitNodeFilteredSet)
        try members.encode(unlessEmpty: tempCorpIssue13969, forKey: .tempCorpIssue13969)
    }
}

import NetTypes

/// The DNS settings of the embedded tailnet, as the configuration and `PUT /v1/tailnet/dns` give them.
package struct TailnetDNS: Hashable, Sendable, Codable {
    /// Whether nodes answer for the names of the tailnet, short ones included.
    package var magicDNS: Bool
    /// Resolvers that replace those of the hosts: addresses, `address:port` or `https://` URLs.
    package var resolvers: [String]
    /// Resolvers for those who use an exit node and have no other.
    package var fallbackResolvers: [String]
    /// Resolvers by suffix (split DNS); none = the suffix is answered from the tailnet's own records only.
    package var routes: [String: [String]]
    /// Further search domains, after the tailnet's own.
    package var searchDomains: [String]
    /// Further records.
    package var extraRecords: [Record]

    /// A record that MagicDNS serves beside the names of nodes.
    package struct Record: Hashable, Sendable, Codable {
        /// The full name.
        package var name: String
        /// `A` or `AAAA`.
        package var type: String
        /// The address.
        package var value: String

        /// Joins the parts.
        package init(name: String, type: String, value: String) {
            self.name = name
            self.type = type
            self.value = value
        }
    }

    /// Joins the parts; MagicDNS and nothing else unless said.
    package init(
        magicDNS: Bool = true,
        resolvers: [String] = [],
        fallbackResolvers: [String] = [],
        routes: [String: [String]] = [:],
        searchDomains: [String] = [],
        extraRecords: [Record] = []
    ) {
        self.magicDNS = magicDNS
        self.resolvers = resolvers
        self.fallbackResolvers = fallbackResolvers
        self.routes = routes
        self.searchDomains = searchDomains
        self.extraRecords = extraRecords
    }

    /// Reads a body, or throws every fault in it; absent members have their defaults.
    package init(_ body: JSONTree) throws(ValidationFailure) {
        self = try ObjectReader.decode(body) { reader in
            TailnetDNS(
                magicDNS: reader.bool("magicDNS") ?? true,
                resolvers: Self.resolvers(&reader, "resolvers"),
                fallbackResolvers: Self.resolvers(&reader, "fallbackResolvers"),
                routes: Self.routes(&reader),
                searchDomains: Self.domains(&reader),
                extraRecords: Self.records(&reader)
            )
        }
    }

    /// Whether clients can use `text` as a resolver: an address, `address:port`, or a DoH URL.
    package static func isResolver(_ text: String) -> Bool {
        if IPAddress(text) != nil { return true }
        if let endpoint = AddressPort(text) { return endpoint.port != 0 }
        return text.hasPrefix("https://") && WebURL(text) != nil
    }

    /// The domain in lower case without a final dot, or nil when `text` is none.
    package static func domain(_ text: String) -> String? {
        var text = text.lowercased()
        if text.hasSuffix(".") { text.removeLast() }
        guard text.utf8.count <= 253 else { return nil }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        // Underscores stand in the names of services.
        return labels.allSatisfy { DNSLabel($0.replacing("_", with: "a")) != nil } ? text : nil
    }

    /// Whether a record names an address of its type.
    package static func isRecord(_ record: Record) -> Bool {
        guard domain(record.name) != nil else { return false }
        switch (record.type, IPAddress(record.value)) {
        case ("A", .v4), ("AAAA", .v6): return true
        default: return false
        }
    }

    private static func resolvers(_ reader: inout ObjectReader, _ name: String) -> [String] {
        let faults = reader.faults
        return reader.array(name, count: 0...16) { resolver($0, $1, faults) } ?? []
    }

    private static func resolver(_ tree: JSONTree, _ pointer: String, _ faults: FaultList) -> String? {
        guard let text = tree.string, isResolver(text) else {
            faults.add(.badFormat, at: pointer, "must be an address, an address and a port, or an https:// URL")
            return nil
        }
        return text
    }

    private static func routes(_ reader: inout ObjectReader) -> [String: [String]] {
        guard let tree = reader.value("routes") else { return [:] }
        let faults = reader.faults
        let pointer = reader.path("routes")
        guard let members = tree.object else {
            faults.add(.wrongType, at: pointer, "must be an object, not \(tree.kind)")
            return [:]
        }
        if members.count > 256 { faults.add(.outOfRange, at: pointer, "must have at most 256 members") }
        var routes: [String: [String]] = [:]
        for (name, value) in members.sorted(by: { $0.key < $1.key }).prefix(256) {
            let pointer = pointer + "/" + ObjectReader.escape(name)
            guard let domain = domain(name) else {
                faults.add(.badFormat, at: pointer, "the name must be a domain such as corp.example")
                continue
            }
            guard let elements = value.array, elements.count <= 16 else {
                faults.add(.wrongType, at: pointer, "must be an array of at most 16 resolvers")
                continue
            }
            routes[domain] = elements.enumerated().compactMap { resolver($1, pointer + "/\($0)", faults) }
        }
        return routes
    }

    private static func domains(_ reader: inout ObjectReader) -> [String] {
        let faults = reader.faults
        return reader.array("searchDomains", count: 0...16) { tree, pointer -> String? in
            guard let domain = tree.string.flatMap({ domain($0) }) else {
                faults.add(.badFormat, at: pointer, "must be a domain such as corp.example")
                return nil
            }
            return domain
        } ?? []
    }

    private static func records(_ reader: inout ObjectReader) -> [Record] {
        let faults = reader.faults
        return reader.array("extraRecords", count: 0...1024) { tree, pointer -> Record? in
            ObjectReader.read(tree, at: pointer, into: faults) { reader -> Record? in
                let name = reader.parsed("name", format: "a domain name", required: true) { domain($0) }
                let value = reader.parsed("value", format: "an address", required: true) { IPAddress($0) }
                let type = reader.parsed("type", format: "A or AAAA", required: false) {
                    ["A", "AAAA"].contains($0) ? $0 : nil
                }
                guard let name, let value else { return nil }
                let record = Record(
                    name: name,
                    type: type ?? (value.isIPv4 ? "A" : "AAAA"),
                    value: value.description
                )
                if !isRecord(record) { reader.fail("value", .badFormat, "must be an address of the record's type") }
                return record
            }
        } ?? []
    }
}

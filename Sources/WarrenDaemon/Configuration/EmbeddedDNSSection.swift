package import WarrenModel
package import Yams

/// `control.embedded.dns`: what nodes of the embedded tailnet are told about DNS.
package struct EmbeddedDNSSection: ConfigurationSection {
    /// Whether nodes answer for the names of the tailnet, short ones included.
    package var magicDNS = true
    /// Resolvers that replace those of the hosts.
    package var resolvers: [String] = []
    /// Resolvers for those who use an exit node and have no other.
    package var fallbackResolvers: [String] = []
    /// Resolvers by suffix.
    package var routes = DNSRouteTable()
    /// Further search domains.
    package var searchDomains: [String] = []
    /// Further records.
    package var extraRecords: [TailnetDNS.Record] = []

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("magicDNS", &magicDNS)
        visitor.value("resolvers", &resolvers)
        visitor.value("fallbackResolvers", &fallbackResolvers)
        visitor.value("routes", &routes)
        visitor.value("searchDomains", &searchDomains)
        visitor.value("extraRecords", &extraRecords)
    }

    /// The settings as the API has them.
    package var settings: TailnetDNS {
        TailnetDNS(
            magicDNS: magicDNS,
            resolvers: resolvers,
            fallbackResolvers: fallbackResolvers,
            routes: routes.resolvers,
            searchDomains: searchDomains.compactMap(TailnetDNS.domain),
            extraRecords: extraRecords
        )
    }

    /// Reports what no node could use.
    func checkRules(_ problems: ProblemList) {
        for (key, list) in [("resolvers", resolvers), ("fallbackResolvers", fallbackResolvers)] {
            for text in list where !TailnetDNS.isResolver(text) {
                problems.noteRule(
                    "control.embedded.dns.\(key)",
                    "\(text) is no address, no address:port and no https:// URL"
                )
            }
        }
        for text in searchDomains where TailnetDNS.domain(text) == nil {
            problems.noteRule("control.embedded.dns.searchDomains", "\(text) is no domain")
        }
    }
}

/// Resolvers by the suffix of the names that they answer.
package struct DNSRouteTable: ConfigurationValue {
    /// The resolvers of each suffix.
    package var resolvers: [String: [String]] = [:]

    /// No routes.
    package init() {}

    package static var expectation: String {
        "suffixes with lists of resolvers, such as { corp.example: [10.0.0.53] }"
    }

    package init?(configuration node: Node) {
        guard case .mapping(let mapping) = node else { return nil }
        for (key, value) in mapping {
            guard let name = key.string.flatMap(TailnetDNS.domain), let list = [String](configuration: value),
                list.allSatisfy(TailnetDNS.isResolver)
            else { return nil }
            resolvers[name] = list
        }
    }

    package var configurationNode: Node {
        let pairs = resolvers.sorted { $0.key < $1.key }.map { (Node($0.key), $0.value.configurationNode) }
        return .mapping(Node.Mapping(pairs, .implicit, .flow))
    }
}

extension TailnetDNS.Record: ConfigurationValue {
    package static var expectation: String { "a record such as { name: nas.corp.example, value: 10.0.0.2 }" }

    package init?(configuration node: Node) {
        guard case .mapping(let mapping) = node else { return nil }
        var members: [String: String] = [:]
        for (key, value) in mapping {
            guard let key = key.string, ["name", "type", "value"].contains(key), let text = value.string else {
                return nil
            }
            members[key] = text
        }
        guard let name = members["name"].flatMap(TailnetDNS.domain), let value = members["value"] else { return nil }
        self.init(name: name, type: members["type"] ?? (value.contains(":") ? "AAAA" : "A"), value: value)
        guard TailnetDNS.isRecord(self) else { return nil }
    }

    package var configurationNode: Node {
        let pairs = [("name", name), ("type", type), ("value", value)].map { (Node($0), Node($1)) }
        return .mapping(Node.Mapping(pairs, .implicit, .flow))
    }
}

/// How long a key is good.
package enum KeyLifetime: ConfigurationWord {
    /// For ever.
    case never
    /// So long after a login.
    case limited(Duration)

    package static var expectation: String { "never, or a duration of at least a minute such as 4320h" }

    package init?(configurationText text: String) {
        if text == "never" {
            self = .never
        } else {
            guard let duration = Duration(goText: text), duration >= .seconds(60) else { return nil }
            self = .limited(duration)
        }
    }

    package var configurationText: String {
        switch self {
        case .never: "never"
        case .limited(let duration): duration.goText
        }
    }
}

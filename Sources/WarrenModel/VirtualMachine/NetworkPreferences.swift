package import NetTypes

/// Which peer of its tailnet a node sends internet traffic through.
package enum ExitNodeChoice: Hashable, Sendable {
    /// The best one that is online, chosen by the node and kept while it serves.
    case auto
    /// The one that has this tailnet address.
    case address(IPAddress)
    /// The one that has this MagicDNS name, with or without the tailnet's suffix, or this stable id.
    case named(String)

    /// Reads `auto`, an address of the tailnet's ranges, a name or a stable id; anything else is nil.
    package init?(_ text: some StringProtocol) {
        if text == "auto" {
            self = .auto
        } else if let address = IPAddress(text) {
            guard TailnetAddresses.contains(address), !TailnetAddresses.isService(address) else { return nil }
            self = .address(address)
        } else {
            let isNamelike = text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || "-._".utf8.contains($0)
            }
            guard isNamelike, (1...253).contains(text.utf8.count), text.utf8.first != UInt8(ascii: ".") else {
                return nil
            }
            self = .named(String(text))
        }
    }
}

extension ExitNodeChoice: TextCodable {
    /// Reads the JSON form.
    package init?(_ text: String) { self.init(text[...]) }

    /// The text that it was read from, addresses in their canonical form.
    package var description: String {
        switch self {
        case .auto: "auto"
        case .address(let address): "\(address)"
        case .named(let text): text
        }
    }
}

/// By which way a node reaches control, relays and peers.
package enum NodeTransport: String, Hashable, Sendable, Codable, CaseIterable {
    /// As a native client does: TLS or plain HTTP with an upgrade, UDP to peers.
    case auto
    /// As a client in a browser does: control and relays over WebSocket, no UDP.
    case websocket
}

/// What a VM's owner wishes of its node beside a name, every default filled in; all but `transport` may change while it runs.
package struct NetworkPreferences: Hashable, Sendable, Codable {
    /// The tags it asks for, `tag:…`.
    package var tags: [String]
    /// Through which peer the guest reaches the internet; nil for not at all.
    package var exitNode: ExitNodeChoice?
    /// Whether networks next to the node stay reachable while an exit node is in use.
    package var exitNodeAllowLanAccess: Bool
    /// Whether subnets behind other nodes are reachable.
    package var acceptRoutes: Bool
    /// Whether the guest uses the tailnet's DNS.
    package var acceptDNS: Bool
    /// The subnets that the guest routes for, offered to the tailnet's administrator.
    package var advertiseRoutes: [IPPrefix]
    /// Whether everything that peers begin is refused.
    package var shieldsUp: Bool
    /// How control, relays and peers are reached.
    package var transport: NodeTransport

    /// Joins the parts; what is left out has its default.
    package init(
        tags: [String] = [],
        exitNode: ExitNodeChoice? = nil,
        exitNodeAllowLanAccess: Bool = false,
        acceptRoutes: Bool = true,
        acceptDNS: Bool = true,
        advertiseRoutes: [IPPrefix] = [],
        shieldsUp: Bool = false,
        transport: NodeTransport = .auto
    ) {
        self.tags = tags
        self.exitNode = exitNode
        self.exitNodeAllowLanAccess = exitNodeAllowLanAccess
        self.acceptRoutes = acceptRoutes
        self.acceptDNS = acceptDNS
        self.advertiseRoutes = advertiseRoutes
        self.shieldsUp = shieldsUp
        self.transport = transport
    }

    /// More tags than this no policy uses.
    static let maxTags = 32
    /// More subnets than this one guest does not route for.
    static let maxRoutes = 64

    /// Reads the members of a `networkInterface`.
    static func read(_ reader: inout ObjectReader) -> NetworkPreferences {
        var preferences = NetworkPreferences()
        preferences.tags = readTags(&reader)
        preferences.exitNode = reader.parsed(
            "exitNode",
            format: "auto, or the name, the tailnet address or the stable id of a node",
            nullable: true
        ) { ExitNodeChoice($0) }
        preferences.exitNodeAllowLanAccess = reader.bool("exitNodeAllowLanAccess") ?? false
        preferences.acceptRoutes = reader.bool("acceptRoutes") ?? true
        preferences.acceptDNS = reader.bool("acceptDns") ?? true
        preferences.advertiseRoutes = readRoutes(&reader)
        preferences.shieldsUp = reader.bool("shieldsUp") ?? false
        preferences.transport = reader.choice("transport") ?? .auto
        return preferences
    }

    private static func readTags(_ reader: inout ObjectReader) -> [String] {
        let faults = reader.faults
        let texts = reader.array("tags", count: 0...maxTags) { tree, pointer -> String? in
            guard let text = tree.string else {
                faults.add(.wrongType, at: pointer, "must be a string, not \(tree.kind)")
                return nil
            }
            guard isTag(text) else {
                faults.add(.badFormat, at: pointer, "must be tag: and a letter, then letters, digits and hyphens")
                return nil
            }
            return text
        }
        return unique(texts ?? [])
    }

    private static func readRoutes(_ reader: inout ObjectReader) -> [IPPrefix] {
        let faults = reader.faults
        let routes = reader.array("advertiseRoutes", count: 0...maxRoutes) { tree, pointer -> IPPrefix? in
            guard let text = tree.string else {
                faults.add(.wrongType, at: pointer, "must be a string, not \(tree.kind)")
                return nil
            }
            guard let prefix = IPPrefix(text) else {
                faults.add(.badFormat, at: pointer, "must be a prefix such as 192.168.7.0/24 or fd00:7::/64")
                return nil
            }
            if let reason = refusal(of: prefix) {
                faults.add(.refused, at: pointer, reason)
                return nil
            }
            return prefix
        }
        return unique(routes ?? [])
    }

    private static func unique<Value: Hashable>(_ values: [Value]) -> [Value] {
        var seen = Set<Value>()
        return values.filter { seen.insert($0).inserted }
    }

    /// Whether `text` is a tag (tailscale tailcfg.CheckTag): `tag:`, a letter, then letters, digits and hyphens.
    package static func isTag(_ text: String) -> Bool {
        let name = text.utf8.dropFirst(4)
        guard text.hasPrefix("tag:"), (1...64).contains(name.count), let first = name.first,
            (0x61...0x7A).contains(first | 0x20)
        else { return false }
        return name.allSatisfy {
            (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == UInt8(ascii: "-")
        }
    }

    /// Why a guest cannot offer a subnet; nil when it can.
    package static func refusal(of prefix: IPPrefix) -> String? {
        if prefix.length == 0 { return "cannot be everything: a guest is no exit node" }
        if prefix.masked != prefix { return "has bits behind its length; meant is perhaps \(prefix.masked)" }
        let reserved = [TailnetAddresses.ipv4Range, TailnetAddresses.ipv6Range]
        if reserved.contains(where: prefix.overlaps) { return "lies in the addresses of the tailnet itself" }
        return unroutable.contains(where: prefix.overlaps) ? "holds addresses that nothing is routed to" : nil
    }

    /// Loopback, "this network", link-local and multicast (RFC 6890).
    private static let unroutable: [IPPrefix] = [
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8",
    ].compactMap { IPPrefix($0) }
}

package import NetTypes
import NetWire
package import Tailcfg

/// What was wrong with the rules that control sent.
package enum FilterRuleProblem: Hashable, Sendable {
    /// The source does not parse and was left out.
    case source(String)
    /// The destination does not parse and was left out.
    case destination(String)
    /// A deprecated member would change the meaning of the rules: everything is denied.
    case deprecatedBits
    /// A rule would admit a peer that tailnet lock keeps out: everything is denied.
    case admitsUnsignedPeer
}

/// The rules of the packet filter, compiled once for each change of the network map.
package struct PacketFilterRules: Sendable {
    /// What could not be used; worth a warning in the log.
    package private(set) var problems: [FilterRuleProblem] = []
    private var ipv4 = FilterRuleTable<UInt32>()
    private var ipv6 = FilterRuleTable<UInt128>()

    /// No rules: nobody may open anything.
    package static let denyAll = PacketFilterRules([])

    /// Compiles the rules.
    ///
    /// - Parameters:
    ///   - rules: The rules as control sent them; one that does not parse only loses itself.
    ///   - capabilityHolders: For each capability the own addresses of the peers that have it.
    ///   - unsignedPrefixes: The addresses of peers that must get no access because tailnet lock does not know them.
    package init(
        _ rules: [FilterRule],
        capabilityHolders: [String: [IPAddress]] = [:],
        unsignedPrefixes: [IPPrefix] = []
    ) {
        guard !rules.contains(where: { $0.sourceBits != nil || $0.destinations.contains { $0.bits != nil } }) else {
            problems = [.deprecatedBits]
            return
        }
        let unsigned = unsignedPrefixes.map(FilterEntry.init)
        for rule in rules { append(rule, capabilityHolders: capabilityHolders, unsigned: unsigned) }
        if problems.contains(.admitsUnsignedPeer) {
            ipv4 = FilterRuleTable()
            ipv6 = FilterRuleTable()
        }
    }

    /// Compiles the rules of a network map, with its peers' capabilities.
    package init(_ networkMap: NetworkMap) {
        let rules = networkMap.packetFilter
        var names: Set<String> = []
        for case .capability(let name)? in rules.lazy.flatMap(\.sourceIPs).map(FilterEntry.init) where !name.isEmpty {
            names.insert(name)
        }
        var holders: [String: [IPAddress]] = [:]
        var unsigned: [IPPrefix] = []
        for peer in networkMap.peers.values {
            if peer.unsignedPeerAPIOnly { unsigned += peer.effectiveAllowedIPs }
            for name in names where peer.hasCapability(name) {
                holders[name, default: []] += peer.addresses.filter(\.isSingleAddress).map(\.address)
            }
        }
        self.init(rules, capabilityHolders: holders, unsignedPrefixes: unsigned)
    }

    private mutating func append(
        _ rule: FilterRule,
        capabilityHolders: [String: [IPAddress]],
        unsigned: [FilterEntry]
    ) {
        var sources = FamilyRanges()
        var holders = FamilyRanges()
        var admitsUnsigned = false
        for text in rule.sourceIPs {
            guard let entry = FilterEntry(text) else {
                problems.append(.source(text))
                continue
            }
            if case .capability(let name) = entry {
                for address in capabilityHolders[name] ?? [] { holders.append(FilterEntry(IPPrefix(address))) }
            } else {
                sources.append(entry)
                admitsUnsigned = admitsUnsigned || unsigned.contains { $0.overlaps(entry) }
            }
        }
        var destinations4: [FilterRuleTable<UInt32>.Destination] = []
        var destinations6: [FilterRuleTable<UInt128>.Destination] = []
        for destination in rule.destinations {
            var addresses = FamilyRanges()
            guard let entry = FilterEntry(destination.ip), addresses.append(entry) else {
                problems.append(.destination(destination.ip))
                continue
            }
            destinations4 += addresses.ipv4.map { .init(addresses: $0, ports: destination.ports) }
            destinations6 += addresses.ipv6.map { .init(addresses: $0, ports: destination.ports) }
        }
        if admitsUnsigned, !destinations4.isEmpty || !destinations6.isEmpty { problems.append(.admitsUnsignedPeer) }
        let protocols = rule.ipProtocols.isEmpty ? .standard : ProtocolSet(rule.ipProtocols)
        ipv4.append(protocols: protocols, sources: sources.ipv4, holders: holders.ipv4, destinations: destinations4)
        ipv6.append(protocols: protocols, sources: sources.ipv6, holders: holders.ipv6, destinations: destinations6)
    }

    /// Whether a rule allows a packet with ports.
    func permits(_ packet: ParsedPacket) -> Bool {
        switch (packet.source, packet.destination) {
        case (.v4(let source), .v4(let destination)):
            ipv4.permits(
                packet.ipProtocol,
                from: source.rawValue,
                to: destination.rawValue,
                port: packet.destinationPort
            )
        case (.v6(let source), .v6(let destination)):
            ipv6.permits(packet.ipProtocol, from: source.number, to: destination.number, port: packet.destinationPort)
        default: false
        }
    }

    /// Whether a rule of any protocol connects the packet's addresses, which is what opens ICMP.
    func permitsAnything(between packet: ParsedPacket) -> Bool {
        switch (packet.source, packet.destination) {
        case (.v4(let source), .v4(let destination)):
            ipv4.permitsAnything(from: source.rawValue, to: destination.rawValue)
        case (.v6(let source), .v6(let destination)):
            ipv6.permitsAnything(from: source.number, to: destination.number)
        default: false
        }
    }

    /// Whether a rule allows the packet's protocol with all ports.
    func permitsEveryPort(_ packet: ParsedPacket) -> Bool {
        switch (packet.source, packet.destination) {
        case (.v4(let source), .v4(let destination)):
            ipv4.permitsEveryPort(packet.ipProtocol, from: source.rawValue, to: destination.rawValue)
        case (.v6(let source), .v6(let destination)):
            ipv6.permitsEveryPort(packet.ipProtocol, from: source.number, to: destination.number)
        default: false
        }
    }
}

/// Address ranges sorted by family while rules are compiled.
private struct FamilyRanges {
    var ipv4: [AddressRange<UInt32>] = []
    var ipv6: [AddressRange<UInt128>] = []

    /// Adds the addresses of an entry; false when it names none.
    @discardableResult
    mutating func append(_ entry: FilterEntry) -> Bool {
        switch entry {
        case .every:
            ipv4.append(AddressRange(0, length: 0))
            ipv6.append(AddressRange(0, length: 0))
        case .ipv4(let range): ipv4.append(range)
        case .ipv6(let range): ipv6.append(range)
        case .capability: return false
        }
        return true
    }
}

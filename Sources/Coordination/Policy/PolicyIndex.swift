import NetTypes
package import Tailcfg
import WarrenModel

/// A policy applied to the nodes there are: who sees whom, and the filter of each.
package struct PolicyIndex: Sendable {
    /// Whether everyone sees everyone, so that no pair needs a look.
    package let isOpen: Bool
    private let lines: [Line]

    /// A grant with the nodes that it means at present.
    private struct Line: Sendable {
        let grant: GrantPolicy.Grant
        /// The sources as a filter rule names them.
        let sourceTexts: [String]
        let sources: Set<NodeID>
        let destinations: Set<NodeID>
    }

    /// Applies a policy; nodes that may not take part are no source.
    package init(_ policy: GrantPolicy, nodes: some Sequence<NodeRecord>) {
        isOpen = policy.isOpen
        guard !isOpen else {
            lines = policy.grants.map { grant in
                Line(grant: grant, sourceTexts: Self.texts(of: grant.sources, []), sources: [], destinations: [])
            }
            return
        }
        let nodes = nodes.filter(\.isApproved).sorted { $0.id < $1.id }
        lines = policy.grants.map { grant in
            let sources = nodes.filter { node in grant.sources.contains { $0.sendsFrom(node) } }
            let destinations = nodes.filter { node in grant.destinations.contains { !$0.places(at: node).isEmpty } }
            return Line(
                grant: grant,
                sourceTexts: Self.texts(of: grant.sources, nodes),
                sources: Set(sources.map(\.id)),
                destinations: Set(destinations.map(\.id))
            )
        }
    }

    /// Whether a grant lets one of two nodes go to the other, or through it.
    package func connects(_ first: NodeRecord, _ second: NodeRecord) -> Bool {
        guard first.isApproved, second.isApproved else { return false }
        return isOpen
            || lines.contains { line in
                line.sources.contains(first.id) && line.destinations.contains(second.id)
                    || line.sources.contains(second.id) && line.destinations.contains(first.id)
            }
    }

    /// What may come in at a node: only rules that lead to it or through it.
    package func filter(for node: NodeRecord) -> [FilterRule] {
        guard node.isApproved else { return [] }
        return lines.flatMap { line -> [FilterRule] in
            guard !line.sourceTexts.isEmpty else { return [] }
            let grant = line.grant
            let places = Self.unique(grant.destinations.flatMap { $0.places(at: node) })
            guard !places.isEmpty else { return [] }
            var rules: [FilterRule] = []
            for protocols in Self.unique(grant.ports.map(\.protocols)) {
                let ranges = grant.ports.filter { $0.protocols == protocols }.map(\.ports)
                rules.append(
                    FilterRule(
                        sourceIPs: line.sourceTexts,
                        destinations: places.flatMap { place in
                            ranges.map { FilterDestination(ip: place, ports: $0) }
                        },
                        ipProtocols: protocols
                    )
                )
            }
            if !grant.capabilities.isEmpty {
                let own = node.addresses.map(\.description)
                let capabilities = CapabilityGrant(destinations: own, capabilityMap: grant.capabilities)
                rules.append(FilterRule(sourceIPs: line.sourceTexts, capabilityGrants: [capabilities]))
            }
            return rules
        }
    }

    private static func texts(of selectors: [PolicySelector], _ nodes: [NodeRecord]) -> [String] {
        // Not `*`: an exit node or a router would else take any address for a member of the tailnet.
        if selectors.contains(.anyone) {
            return [TailnetAddresses.ipv4Range.description, TailnetAddresses.ipv6Range.description]
        }
        var texts: [String] = []
        for case .prefix(let prefix) in selectors { texts.append(prefix.filterText) }
        for node in nodes where selectors.contains(where: { !$0.isPrefix && $0.names(node) }) {
            texts += [node.ipv4.description, node.ipv6.description]
        }
        return unique(texts)
    }

    private static func unique<Element: Hashable>(_ elements: [Element]) -> [Element] {
        var seen: Set<Element> = []
        return elements.filter { seen.insert($0).inserted }
    }
}

extension PolicySelector {
    fileprivate var isPrefix: Bool { if case .prefix = self { true } else { false } }

    /// Whether packets of these sources come from a node: its own, or those of a subnet behind it.
    fileprivate func sendsFrom(_ node: NodeRecord) -> Bool {
        if names(node) { return true }
        guard case .prefix(let prefix) = self else { return false }
        return node.primaryRoutes.contains { $0.overlaps(prefix) }
    }

    /// Where these destinations lie at a node, as a filter rule names it; none when they do not.
    fileprivate func places(at node: NodeRecord) -> [String] {
        switch self {
        // A node takes in only what is meant for it or for what it serves, so there is no need to say it again.
        case .anyone: ["*"]
        case .member, .tagged, .tag, .ownNodes:
            names(node) ? [node.ipv4.description, node.ipv6.description] : []
        case .internet: node.isExitNode ? InternetRanges.texts : []
        case .prefix(let prefix): places(of: prefix, at: node)
        case .nobody: []
        }
    }

    private func places(of prefix: IPPrefix, at node: NodeRecord) -> [String] {
        var places = node.addresses.filter(prefix.contains).map(\.filterText)
        for route in node.primaryRoutes where route.overlaps(prefix) {
            places.append((route.length > prefix.length ? route : prefix).filterText)
        }
        // An exit node forwards everything but the tailnet's own addresses.
        if node.isExitNode, prefix.isServable, !places.contains(prefix.filterText) { places.append(prefix.filterText) }
        return places
    }
}

extension IPPrefix {
    /// An address, or a prefix when it is more than one.
    fileprivate var filterText: String { isSingleAddress ? address.description : description }
}

/// The internet as `autogroup:internet` means it: what is neither private nor anyone's own.
///
/// Not simply everything: a rule for everything at an exit node would open the exit node itself, and the networks
/// around it, to all who may only pass through it.
package enum InternetRanges {
    /// Ranges as a filter rule names them (what the IANA special-purpose registries leave).
    package static let texts = [
        "1.0.0.0-9.255.255.255", "11.0.0.0-100.63.255.255", "100.128.0.0-126.255.255.255",
        "128.0.0.0-169.253.255.255", "169.255.0.0-172.15.255.255", "172.32.0.0-192.167.255.255",
        "192.169.0.0-223.255.255.255", "2000::/3",
    ]
}

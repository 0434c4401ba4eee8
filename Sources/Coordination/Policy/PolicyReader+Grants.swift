import Tailcfg
import WarrenModel

extension PolicyNames {
    /// `grants`: who may go where by which protocols, and with which capabilities.
    func readGrants(_ reader: inout ObjectReader) -> [GrantPolicy.Grant] {
        reader.array("grants", count: 0...1000) { tree, pointer -> GrantPolicy.Grant? in
            ObjectReader.read(tree, at: pointer, into: faults) { reader -> GrantPolicy.Grant? in
                let sources = selectors(reader.value("src", required: true), at: reader.path("src"), .source)
                let destinations = selectors(reader.value("dst", required: true), at: reader.path("dst"), .destination)
                let ports = texts(reader.value("ip"), at: reader.path("ip")).compactMap { text, pointer in
                    let clause = PortClause(text)
                    if clause == nil { faults.add(.badFormat, at: pointer, "must be \(PortClause.format)") }
                    return clause
                }
                let capabilities = capabilities(reader.value("app"), at: reader.path("app"))
                if reader.tree("ip") == nil, reader.tree("app") == nil {
                    faults.add(.required, at: pointer, "needs ip, app, or both")
                }
                checkOwnNodes(destinations, from: sources, at: pointer)
                return GrantPolicy.Grant(
                    sources: sources,
                    destinations: destinations,
                    ports: ports,
                    capabilities: capabilities
                )
            }
        } ?? []
    }

    /// `acls`: the classic form, whose destinations carry the ports.
    func readACLs(_ reader: inout ObjectReader) -> [GrantPolicy.Grant] {
        let lists = reader.array("acls", count: 0...1000) { tree, pointer -> [GrantPolicy.Grant]? in
            ObjectReader.read(tree, at: pointer, into: faults) { reader -> [GrantPolicy.Grant]? in
                let action = reader.string("action", required: true)
                if let action, action != "accept" { reader.fail("action", .badFormat, "must be accept") }
                let sources = selectors(reader.value("src", required: true), at: reader.path("src"), .source)
                let protocols = reader.parsed("proto", format: "a protocol such as tcp, or its number") {
                    PortClause.protocols($0)
                }
                return texts(reader.value("dst", required: true), at: reader.path("dst")).compactMap { text, pointer in
                    guard let (selector, ports) = destination(text, protocols ?? [], at: pointer) else { return nil }
                    checkOwnNodes([selector], from: sources, at: pointer)
                    return GrantPolicy.Grant(sources: sources, destinations: [selector], ports: ports)
                }
            }
        }
        return (lists ?? []).flatMap { $0 }
    }

    /// `tag:web:22,80-90`, `[fd7a::1]:*`, `*:*`: a selector, and behind the last colon the ports.
    private func destination(
        _ text: String,
        _ protocols: [Int],
        at pointer: String
    ) -> (PolicySelector, [PortClause])? {
        guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else {
            faults.add(.badFormat, at: pointer, "must be a destination, a colon and ports, such as tag:web:22 or *:*")
            return nil
        }
        var name = text[..<colon]
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        let parts = text[text.index(after: colon)...].split(separator: ",", omittingEmptySubsequences: false)
        let ranges = parts.compactMap(PortClause.ports)
        if ranges.count != parts.count {
            faults.add(.badFormat, at: pointer, "the ports must be *, or a list such as 22,80-90")
        } else if !PortClause.havePorts(protocols), ranges != [.every] {
            faults.add(.badFormat, at: pointer, "the ports must be *, because the protocol has none")
        }
        guard let selector = selector(String(name), at: pointer, .destination) else { return nil }
        return (selector, ranges.map { PortClause(protocols: protocols, ports: $0) })
    }

    /// `autogroup:self` means the nodes of the user who asks, so a user must ask.
    private func checkOwnNodes(_ destinations: [PolicySelector], from sources: [PolicySelector], at pointer: String) {
        guard destinations.contains(.ownNodes), !sources.allSatisfy({ $0 == .member || $0 == .nobody }) else { return }
        faults.add(.refused, at: pointer, "with autogroup:self the sources must be users, groups or autogroup:member")
    }

    private func capabilities(_ tree: JSONTree?, at pointer: String) -> CapabilityMap {
        guard let tree else { return [:] }
        guard let members = tree.object else {
            faults.add(.wrongType, at: pointer, "must be an object, not \(tree.kind)")
            return [:]
        }
        var map: CapabilityMap = [:]
        for (name, value) in members {
            let pointer = pointer + "/" + ObjectReader.escape(name)
            guard name.contains("/"), !name.contains(where: { $0 == "*" || $0 == " " }) else {
                faults.add(.badFormat, at: pointer, "the name must be a domain and a path, such as example.com/cap/x")
                continue
            }
            guard let arguments = value.array else {
                faults.add(.wrongType, at: pointer, "must be an array, not \(value.kind)")
                continue
            }
            map[name] = arguments.map(JSONFragment.init)
        }
        return map
    }
}

extension JSONFragment {
    /// The same value in the words of control.
    fileprivate init(_ tree: JSONTree) {
        self =
            switch tree {
            case .null: .null
            case .bool(let value): .bool(value)
            case .integer(let value): .integer(value)
            case .number(let value): .number(value)
            case .string(let value): .string(value)
            case .array(let elements): .array(elements.map(JSONFragment.init))
            case .object(let members): .object(members.mapValues(JSONFragment.init))
            }
    }
}

import NetTypes
import Tailcfg
package import WarrenModel

extension GrantPolicy {
    /// Reads a policy, or throws every fault in it with its JSON pointer.
    ///
    /// - Parameters:
    ///   - document: The policy.
    ///   - loginName: The login of the one user.
    ///   - acceptsStrangers: Whether logins of nobody are let pass, as in a policy that was stored under another domain.
    /// - Throws: `ValidationFailure` with every fault.
    package init(
        _ document: JSONTree,
        loginName: String,
        acceptsStrangers: Bool = false
    ) throws(ValidationFailure) {
        self = try ObjectReader.decode(document) { reader in
            reader.notSupported(
                "ssh",
                "nodeAttrs",
                "postures",
                "ipsets",
                "tests",
                "sshTests",
                "derpMap",
                "disableIPv4",
                "OneCGNATRoute",
                "randomizeClientPort"
            )
            var names = PolicyNames(loginName: loginName, acceptsStrangers: acceptsStrangers, faults: reader.faults)
            names.readHosts(&reader)
            names.readGroups(&reader)
            let tagOwners = names.readTagOwners(&reader)
            let approvers = names.readApprovers(&reader)
            let grants = names.readGrants(&reader) + names.readACLs(&reader)
            return GrantPolicy(
                document: document,
                grants: grants,
                tagOwners: tagOwners,
                routeApprovers: approvers.routes,
                exitNodeApprovers: approvers.exitNodes
            )
        }
    }
}

/// What the names in a policy stand for, and the reading of selectors by them.
struct PolicyNames {
    let loginName: String
    let acceptsStrangers: Bool
    let faults: FaultList
    private var hosts: [String: IPPrefix] = [:]
    private var groups: [String: PolicySelector] = [:]
    private var tags: Set<String> = []

    /// Where a selector stands.
    enum Place {
        case source, destination, owner
    }

    init(loginName: String, acceptsStrangers: Bool, faults: FaultList) {
        self.loginName = loginName
        self.acceptsStrangers = acceptsStrangers
        self.faults = faults
    }

    /// `hosts`: names for addresses and prefixes.
    mutating func readHosts(_ reader: inout ObjectReader) {
        for (name, value, pointer) in members(of: reader.value("hosts"), at: reader.path("hosts")) {
            if name.isEmpty || name == "*" || name.contains(where: { ":@/ ".contains($0) }) || IPAddress(name) != nil {
                faults.add(.badFormat, at: pointer, "the name must be a word without : @ / and no address")
            }
            guard let prefix = value.string.flatMap(Self.prefix) else {
                faults.add(.badFormat, at: pointer, "must be an address, or a prefix without host bits")
                continue
            }
            hosts[name] = prefix
        }
    }

    /// `groups`: lists of logins.
    mutating func readGroups(_ reader: inout ObjectReader) {
        for (name, value, pointer) in members(of: reader.value("groups"), at: reader.path("groups")) {
            if !name.hasPrefix("group:") || name.utf8.count == 6 {
                faults.add(.badFormat, at: pointer, "the name must be group: and a word")
            }
            let logins = texts(value, at: pointer).map(\.text)
            for (index, login) in logins.enumerated() where !login.contains("@") {
                faults.add(.badFormat, at: "\(pointer)/\(index)", "must be a login such as \(loginName)")
            }
            groups[name] = logins.contains(loginName) ? .member : .nobody
        }
    }

    /// `tagOwners`: which tags there are, and who may give them.
    mutating func readTagOwners(_ reader: inout ObjectReader) -> [String: [PolicySelector]] {
        let entries = members(of: reader.value("tagOwners"), at: reader.path("tagOwners"))
        tags = Set(entries.map(\.name))
        var owners: [String: [PolicySelector]] = [:]
        for (name, value, pointer) in entries {
            if !CreateAuthKeyRequest.isTag(name) {
                faults.add(.badFormat, at: pointer, "the name must be tag: and a label such as tag:ci")
            }
            owners[name] = selectors(value, at: pointer, .owner)
        }
        return owners
    }

    /// `autoApprovers`: whose routes need no approval.
    func readApprovers(
        _ reader: inout ObjectReader
    ) -> (routes: [GrantPolicy.RouteApprover], exitNodes: [PolicySelector]) {
        var routes: [GrantPolicy.RouteApprover] = []
        var exitNodes: [PolicySelector] = []
        _ = reader.object("autoApprovers") { (reader: inout ObjectReader) -> Bool? in
            for (name, value, pointer) in members(of: reader.value("routes"), at: reader.path("routes")) {
                guard let prefix = Self.prefix(name) else {
                    faults.add(.badFormat, at: pointer, "the name must be a prefix without host bits")
                    continue
                }
                routes.append(.init(prefix: prefix, selectors: selectors(value, at: pointer, .owner)))
            }
            if let value = reader.value("exitNode") {
                exitNodes = selectors(value, at: reader.path("exitNode"), .owner)
            }
            return true
        }
        return (routes, exitNodes)
    }

    /// The members of an object in order, each with its pointer.
    private func members(
        of tree: JSONTree?,
        at pointer: String
    ) -> [(name: String, value: JSONTree, pointer: String)] {
        guard let tree else { return [] }
        guard let members = tree.object else {
            faults.add(.wrongType, at: pointer, "must be an object, not \(tree.kind)")
            return []
        }
        return members.sorted { $0.key < $1.key }.map {
            ($0.key, $0.value, pointer + "/" + ObjectReader.escape($0.key))
        }
    }

    /// The strings of an array, each with its pointer.
    func texts(_ tree: JSONTree?, at pointer: String) -> [(text: String, pointer: String)] {
        guard let tree else { return [] }
        guard let elements = tree.array else {
            faults.add(.wrongType, at: pointer, "must be an array, not \(tree.kind)")
            return []
        }
        if elements.count > 1000 {
            faults.add(.outOfRange, at: pointer, "must have at most 1000 elements")
            return []
        }
        return elements.enumerated().compactMap { index, element in
            let pointer = "\(pointer)/\(index)"
            guard let text = element.string else {
                faults.add(.wrongType, at: pointer, "must be a string, not \(element.kind)")
                return nil
            }
            return (text, pointer)
        }
    }

    /// The selectors of an array.
    func selectors(_ tree: JSONTree?, at pointer: String, _ place: Place) -> [PolicySelector] {
        texts(tree, at: pointer).compactMap { selector($0.text, at: $0.pointer, place) }
    }

    /// One selector, or nil when it is faulty, which is noted.
    func selector(_ text: String, at pointer: String, _ place: Place) -> PolicySelector? {
        switch text {
        case "*": return .anyone
        case "autogroup:member", "autogroup:admin", "autogroup:owner": return .member
        case "autogroup:tagged": return .tagged
        case "autogroup:internet" where place == .destination: return .internet
        case "autogroup:self" where place == .destination: return .ownNodes
        default: break
        }
        if text.hasPrefix("autogroup:") {
            faults.add(.badFormat, at: pointer, "is no autogroup that can stand here")
        } else if text.hasPrefix("tag:") {
            if tags.contains(text) { return .tag(text) }
            faults.add(.notFound, at: pointer, "is not defined in tagOwners")
        } else if text.hasPrefix("group:") {
            if let group = groups[text] { return group }
            faults.add(.notFound, at: pointer, "is not defined in groups")
        } else if let host = hosts[text] {
            return .prefix(host)
        } else if let prefix = Self.prefix(text) {
            return .prefix(prefix)
        } else if text.contains("@") {
            if text == loginName { return .member }
            if acceptsStrangers { return .nobody }
            faults.add(.notFound, at: pointer, "is no user: this tailnet has only \(loginName)")
        } else if text.contains("/") || IPAddress(text) != nil {
            faults.add(.badFormat, at: pointer, "must be an address, or a prefix without host bits")
        } else {
            faults.add(.notFound, at: pointer, "is not defined in hosts")
        }
        return nil
    }

    /// An address, or a prefix without host bits.
    static func prefix(_ text: String) -> IPPrefix? {
        if let address = IPAddress(text) { return IPPrefix(address) }
        guard let prefix = IPPrefix(text), prefix == prefix.masked else { return nil }
        return prefix
    }
}

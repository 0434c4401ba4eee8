import NetTypes
package import Tailcfg
import WarrenCrypto

/// Which parts of a node a state update changed, as far as peers care.
package struct NodeChange: OptionSet, Hashable, Sendable {
    /// The bits.
    package let rawValue: UInt16
    /// Wraps the bits.
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// UDP candidates.
    package static let endpoints = NodeChange(rawValue: 1)
    /// The home region.
    package static let homeDERP = NodeChange(rawValue: 2)
    /// The disco key: the process has restarted.
    package static let discoKey = NodeChange(rawValue: 4)
    /// Whether it is connected.
    package static let online = NodeChange(rawValue: 8)
    /// What needs the whole node: Hostinfo as shown to peers, name, capability version, first appearance.
    package static let whole = NodeChange(rawValue: 16)
    /// What the node itself must learn: its name.
    package static let own = NodeChange(rawValue: 32)
    /// When its key ends, if that is still to come.
    package static let expiry = NodeChange(rawValue: 64)
    /// What decides about whom the node sees and what may come in at it.
    package static let rules = NodeChange(rawValue: 128)
    /// The routes it offers: a router may have to be chosen anew.
    package static let routes = NodeChange(rawValue: 256)

    /// What peers hear of.
    var ofPeers: NodeChange { subtracting([.own, .rules, .routes]) }
}

extension TailnetState {
    /// Takes in a state update of a node, all of it at once.
    package mutating func apply(_ request: MapRequest, to id: NodeID, now: ControlTime) -> NodeChange {
        guard let before = nodes[id], !request.readOnly else { return [] }
        let hostinfo = request.hostinfo?.bounded
        let name = hostinfo.map { renamed(before, to: $0) } ?? before.givenName
        let tags = hostinfo.map { self.tags(of: before, asking: $0.requestTags, now: now) } ?? before.tags
        let unwritten = changes.nodes[id]
        let updated = update(id) { node in
            node.capabilityVersion = request.version
            if !request.discoKey.isZero { node.discoKey = request.discoKey }
            if let endpoints = request.endpoints, !endpoints.isEmpty {
                node.takeEndpoints(endpoints, types: request.endpointTypes)
            }
            if let hostinfo { node.takeHostinfo(hostinfo) }
            node.givenName = name
        }
        guard updated != nil else { return [] }
        if tags != before.tags { changeTags(tags, of: id, now: now) }
        approveByPolicy(id, offeredBefore: before.hostinfo.routableIPs)
        guard let after = nodes[id] else { return [] }
        // An update that says nothing new is not worth a write.
        if after == before {
            changes.nodes[id] = unwritten
            return []
        }
        return Self.change(from: before, to: after)
    }

    /// Gives a node tags, or with none gives it back to its user.
    mutating func changeTags(_ tags: [String], of id: NodeID, now: ControlTime) {
        guard var node = nodes[id] else { return }
        setTags(tags, of: &node, now: now)
        update(id) { $0 = node }
    }

    /// What became different about a node, as far as someone must hear of it.
    static func change(from before: NodeRecord, to after: NodeRecord) -> NodeChange {
        var change: NodeChange = []
        if after.standing != before.standing { change.formUnion([.whole, .own, .rules]) }
        if after.keyExpiry != before.keyExpiry { change.formUnion([.whole, .own]) }
        if after.hostinfo.routableIPs != before.hostinfo.routableIPs
            || after.approvedRoutes != before.approvedRoutes || after.isApproved != before.isApproved
        {
            change.insert(.routes)
        }
        if after.endpoints != before.endpoints { change.insert(.endpoints) }
        if after.homeDERP != before.homeDERP { change.insert(.homeDERP) }
        if after.discoKey != before.discoKey { change.insert(.discoKey) }
        if after.givenName != before.givenName { change.formUnion([.whole, .own]) }
        if after.isVisible != before.isVisible || after.capabilityVersion != before.capabilityVersion
            || after.hostinfo.shownToPeers != before.hostinfo.shownToPeers
        {
            change.insert(.whole)
        }
        return change
    }
}

extension NodeRecord {
    /// Replaces the candidates by those worth telling, in their order.
    mutating func takeEndpoints(_ endpoints: [AddressPort], types: [EndpointType]) {
        let hasOthers = endpoints.contains { !$0.address.isLoopback && Self.isTellable($0) }
        var seen: Set<AddressPort> = []
        self.endpoints = []
        endpointTypes = []
        for (index, endpoint) in endpoints.enumerated()
        where self.endpoints.count < CoordinationDefaults.maximumEndpoints {
            guard Self.isTellable(endpoint), !(hasOthers && endpoint.address.isLoopback),
                seen.insert(endpoint).inserted
            else { continue }
            self.endpoints.append(endpoint)
            endpointTypes.append(index < types.count ? types[index] : .unknown)
        }
    }

    private static func isTellable(_ endpoint: AddressPort) -> Bool {
        let address = endpoint.address
        if endpoint.port == 0 || address.isUnspecified || address.isMulticast { return false }
        return !(address.isLinkLocal && !address.isIPv4)
    }

    /// Replaces Hostinfo, but keeps findings about the network that the new one leaves out.
    mutating func takeHostinfo(_ new: Hostinfo) {
        var new = new
        if new.netInfo == nil { new.netInfo = hostinfo.netInfo }
        if let region = new.netInfo?.preferredDERP, !region.isNone {
            homeDERP = region
        } else if !homeDERP.isNone, new.netInfo != nil {
            new.netInfo?.preferredDERP = homeDERP
        }
        hostinfo = new
    }
}

extension Hostinfo {
    /// The part that is kept: typed members only, lists and texts cut to what a host can honestly need.
    var bounded: Hostinfo {
        var bounded = self
        bounded.others = [:]
        bounded.ipnVersion = Self.cut(ipnVersion)
        bounded.backendLogID = Self.cut(backendLogID)
        bounded.os = Self.cut(os)
        bounded.osVersion = Self.cut(osVersion)
        bounded.hostname = Self.cut(hostname)
        bounded.goArch = Self.cut(goArch)
        bounded.app = Self.cut(app)
        bounded.exitNodeID = Self.cut(exitNodeID)
        bounded.routableIPs = routableIPs.prefix(CoordinationDefaults.maximumRoutes).map(\.masked)
        bounded.requestTags = requestTags.prefix(CoordinationDefaults.maximumServices).map(Self.cut)
        bounded.services = services.prefix(CoordinationDefaults.maximumServices).map {
            HostService(proto: Self.cut($0.proto), port: $0.port, description: Self.cut($0.description))
        }
        if let netInfo, netInfo.derpLatency.count > 256 { bounded.netInfo?.derpLatency = [:] }
        return bounded
    }

    // A NUL breaks the message for every Go client that gets it.
    private static func cut(_ text: String) -> String {
        String(text.unicodeScalars.prefix(255).filter { $0.value >= 0x20 && $0.value != 0x7F }.map(Character.init))
    }

    /// The part that peers get to see.
    var shownToPeers: Hostinfo {
        var shown = Hostinfo()
        shown.os = os
        shown.hostname = hostname
        shown.services = services
        shown.routableIPs = routableIPs
        shown.shieldsUp = shieldsUp
        return shown
    }
}

import NetTypes
import WarrenCrypto

/// One peer in as few octets as hold it: ten thousand of them stay in memory for days, and most are never looked at.
///
/// The form never leaves the process. What few nodes have keeps the whole node instead.
enum PackedNode: Sendable {
    /// The fields in the order of `pack`.
    case octets([UInt8])
    /// A node with members that the packed form does not have.
    case whole(NodeBox)
}

/// A node on the heap.
final class NodeBox: Sendable {
    let node: Node

    init(_ node: Node) { self.node = node }
}

/// The values that many nodes share, each kept once; what does not fit any more is kept with its node.
struct SharedValues<Value: Hashable & Sendable>: Sendable {
    // A server that makes up new values all day must not fill the memory.
    private static var limit: Int { 8192 }

    private(set) var values: [Value] = []
    private var places: [Value: Int] = [:]

    /// The place of a value; nil when there is no room for a new one.
    mutating func place(of value: Value) -> Int? {
        if let place = places[value] { return place }
        guard values.count < Self.limit else { return nil }
        places[value] = values.count
        values.append(value)
        return values.count - 1
    }
}

/// Which members of a packed node are there.
private struct PackedMembers: OptionSet {
    let rawValue: UInt32

    static let key = PackedMembers(rawValue: 1 << 0)
    static let discoKey = PackedMembers(rawValue: 1 << 1)
    static let machine = PackedMembers(rawValue: 1 << 2)
    static let keyExpiry = PackedMembers(rawValue: 1 << 3)
    static let created = PackedMembers(rawValue: 1 << 4)
    static let lastSeen = PackedMembers(rawValue: 1 << 5)
    static let sharer = PackedMembers(rawValue: 1 << 6)
    static let allowedIPs = PackedMembers(rawValue: 1 << 7)
    static let allowedAreAddresses = PackedMembers(rawValue: 1 << 8)
    static let endpoints = PackedMembers(rawValue: 1 << 9)
    static let tags = PackedMembers(rawValue: 1 << 10)
    static let primaryRoutes = PackedMembers(rawValue: 1 << 11)
    static let capabilities = PackedMembers(rawValue: 1 << 12)
    static let hostinfo = PackedMembers(rawValue: 1 << 13)
    static let isOnlineKnown = PackedMembers(rawValue: 1 << 14)
    static let isOnline = PackedMembers(rawValue: 1 << 15)
    static let machineAuthorized = PackedMembers(rawValue: 1 << 16)
    static let unsignedPeerAPIOnly = PackedMembers(rawValue: 1 << 17)
    static let expired = PackedMembers(rawValue: 1 << 18)
    static let isWireGuardOnly = PackedMembers(rawValue: 1 << 19)
    static let isJailed = PackedMembers(rawValue: 1 << 20)
}

/// Packs nodes and reads them again.
struct NodePacker: Sendable {
    private var suffixes = SharedValues<String>()
    private var texts = SharedValues<String>()
    private var capabilities = SharedValues<CapabilityMap>()
    private var scratch = PackedOctets()

    /// The packed form of a node.
    mutating func pack(_ node: Node) -> PackedNode {
        scratch.removeAll()
        guard node.isPackable, pack(members: node) else { return .whole(NodeBox(node)) }
        return .octets(scratch.octets)
    }

    private mutating func pack(members node: Node) -> Bool {
        let members = Self.members(of: node)
        scratch.append(fixed: UInt64(members.rawValue), count: 4)
        scratch.append(number: node.id.rawValue)
        if members.contains(.key) { scratch.append(node.key.octets) }
        if members.contains(.discoKey) { scratch.append(node.discoKey.octets) }
        if members.contains(.machine) { scratch.append(node.machine.octets) }
        if members.contains(.keyExpiry) { scratch.append(node.keyExpiry) }
        if members.contains(.created) { scratch.append(node.created) }
        if members.contains(.lastSeen), let lastSeen = node.lastSeen { scratch.append(lastSeen) }
        if members.contains(.sharer) { scratch.append(number: node.sharer.rawValue) }
        scratch.append(number: node.user.rawValue)
        scratch.append(number: node.homeDERP.rawValue)
        scratch.append(number: node.capabilityVersion.rawValue)
        scratch.append(text: node.stableID)
        guard pack(name: node.name) else { return false }
        scratch.append(node.addresses)
        if members.contains(.allowedIPs), !members.contains(.allowedAreAddresses) {
            scratch.append(node.allowedIPs ?? [])
        }
        if members.contains(.endpoints) { scratch.append(node.endpoints) }
        if members.contains(.primaryRoutes) { scratch.append(node.primaryRoutes) }
        if members.contains(.tags) {
            scratch.append(count: node.tags.count)
            for tag in node.tags { guard pack(shared: tag) else { return false } }
        }
        if members.contains(.capabilities) {
            guard let place = capabilities.place(of: node.capabilityMap) else { return false }
            scratch.append(count: place)
        }
        if members.contains(.hostinfo), let hostinfo = node.hostinfo {
            guard pack(hostinfo) else { return false }
        }
        return true
    }

    private mutating func pack(_ hostinfo: Hostinfo) -> Bool {
        scratch.append(text: hostinfo.hostname)
        guard pack(shared: hostinfo.os) else { return false }
        scratch.append(count: hostinfo.services.count)
        for service in hostinfo.services {
            guard pack(shared: service.proto) else { return false }
            scratch.append(fixed: UInt64(service.port), count: 2)
            scratch.append(text: service.description)
        }
        return true
    }

    private mutating func pack(shared text: String) -> Bool {
        guard let place = texts.place(of: text) else { return false }
        scratch.append(count: place)
        return true
    }

    /// The first label is the node's own, the rest its tailnet's.
    private mutating func pack(name: String) -> Bool {
        let end = name.firstIndex(of: ".") ?? name.endIndex
        scratch.append(text: String(name[..<end]))
        guard let place = suffixes.place(of: String(name[end...])) else { return false }
        scratch.append(count: place)
        return true
    }

    /// The node in its usual form.
    func unpack(_ packed: PackedNode) -> Node {
        switch packed {
        case .whole(let box): box.node
        case .octets(let octets): unpack(octets)
        }
    }

    private func unpack(_ octets: [UInt8]) -> Node {
        var reader = PackedReader(octets)
        let members = PackedMembers(rawValue: UInt32(truncatingIfNeeded: reader.fixed(count: 4)))
        var node = Node(id: NodeID(rawValue: reader.number()))
        if members.contains(.key) { node.key = NodePublicKey(octets: reader.octets32()) }
        if members.contains(.discoKey) { node.discoKey = DiscoPublicKey(octets: reader.octets32()) }
        if members.contains(.machine) { node.machine = MachinePublicKey(octets: reader.octets32()) }
        if members.contains(.keyExpiry) { node.keyExpiry = reader.time() }
        if members.contains(.created) { node.created = reader.time() }
        if members.contains(.lastSeen) { node.lastSeen = reader.time() }
        if members.contains(.sharer) { node.sharer = UserID(rawValue: reader.number()) }
        node.user = UserID(rawValue: reader.number())
        node.homeDERP = DERPRegionID(rawValue: reader.number())
        node.capabilityVersion = CapabilityVersion(rawValue: reader.number())
        node.stableID = reader.text()
        node.name = reader.text() + suffixes.values[reader.count()]
        node.addresses = reader.prefixes()
        if members.contains(.allowedAreAddresses) {
            node.allowedIPs = node.addresses
        } else if members.contains(.allowedIPs) {
            node.allowedIPs = reader.prefixes()
        }
        if members.contains(.endpoints) { node.endpoints = reader.endpoints() }
        if members.contains(.primaryRoutes) { node.primaryRoutes = reader.prefixes() }
        if members.contains(.tags) { node.tags = (0..<reader.count()).map { _ in texts.values[reader.count()] } }
        if members.contains(.capabilities) { node.capabilityMap = capabilities.values[reader.count()] }
        if members.contains(.hostinfo) { node.hostinfo = unpackHostinfo(&reader) }
        if members.contains(.isOnlineKnown) { node.online = members.contains(.isOnline) }
        node.machineAuthorized = members.contains(.machineAuthorized)
        node.unsignedPeerAPIOnly = members.contains(.unsignedPeerAPIOnly)
        node.expired = members.contains(.expired)
        node.isWireGuardOnly = members.contains(.isWireGuardOnly)
        node.isJailed = members.contains(.isJailed)
        return node
    }

    private func unpackHostinfo(_ reader: inout PackedReader) -> Hostinfo {
        var hostinfo = Hostinfo()
        hostinfo.hostname = reader.text()
        hostinfo.os = texts.values[reader.count()]
        hostinfo.services = (0..<reader.count()).map { _ in
            HostService(
                proto: texts.values[reader.count()],
                port: UInt16(truncatingIfNeeded: reader.fixed(count: 2)),
                description: reader.text()
            )
        }
        return hostinfo
    }

    private static func members(of node: Node) -> PackedMembers {
        var members: PackedMembers = []
        func note(_ member: PackedMembers, if isPresent: Bool) { if isPresent { members.insert(member) } }
        note(.key, if: !node.key.isZero)
        note(.discoKey, if: !node.discoKey.isZero)
        note(.machine, if: !node.machine.isZero)
        note(.keyExpiry, if: !node.keyExpiry.isZero)
        note(.created, if: !node.created.isZero)
        note(.lastSeen, if: node.lastSeen != nil)
        note(.sharer, if: node.sharer != 0)
        note(.allowedIPs, if: node.allowedIPs != nil)
        note(.allowedAreAddresses, if: node.allowedIPs == node.addresses)
        note(.endpoints, if: !node.endpoints.isEmpty)
        note(.tags, if: !node.tags.isEmpty)
        note(.primaryRoutes, if: !node.primaryRoutes.isEmpty)
        note(.capabilities, if: !node.capabilityMap.isEmpty)
        note(.hostinfo, if: node.hostinfo != nil)
        note(.isOnlineKnown, if: node.online != nil)
        note(.isOnline, if: node.online == true)
        note(.machineAuthorized, if: node.machineAuthorized)
        note(.unsignedPeerAPIOnly, if: node.unsignedPeerAPIOnly)
        note(.expired, if: node.expired)
        note(.isWireGuardOnly, if: node.isWireGuardOnly)
        note(.isJailed, if: node.isJailed)
        return members
    }
}

extension Node {
    /// Whether the packed form has all that is known of the node.
    fileprivate var isPackable: Bool {
        keySignature == nil && legacyDERP.isEmpty && capabilities.isEmpty && dataPlaneAuditLogID.isEmpty
            && selfIPv4MasqueradeAddress == nil && selfIPv6MasqueradeAddress == nil && exitNodeDNSResolvers.isEmpty
            && hostinfo?.isBrief != false
    }
}

extension Hostinfo {
    /// Whether nothing is known but name, system and services.
    fileprivate var isBrief: Bool {
        var brief = Hostinfo()
        brief.hostname = hostname
        brief.os = os
        brief.services = services
        return self == brief
    }
}

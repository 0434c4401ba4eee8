/// What a node found out about its network, part of `Hostinfo`; nil flags are unknown.
package struct NetInfo: Hashable, Sendable {
    /// Whether the NAT gives a different mapping per destination.
    package var mappingVariesByDestIP: Bool?
    /// Whether an IPv6 STUN round trip worked.
    package var workingIPv6: Bool?
    /// Whether the host has IPv6 at all.
    package var osHasIPv6: Bool?
    /// Whether any UDP round trip worked.
    package var workingUDP: Bool?
    /// Whether ICMPv4 worked.
    package var workingICMPv4: Bool?
    /// Whether a port mapping exists.
    package var havePortMap: Bool?
    /// Whether UPnP is offered.
    package var upnp: Bool?
    /// Whether NAT-PMP is offered.
    package var pmp: Bool?
    /// Whether PCP is offered.
    package var pcp: Bool?
    /// The home region: where peers reach this node; none until netcheck has chosen.
    package var preferredDERP: DERPRegionID = .none
    /// The kind of link, free text.
    package var linkType = ""
    /// Seconds by `<region>-v4` / `<region>-v6`.
    package var derpLatency: [String: Double] = [:]
    /// The firewall mode, free text.
    package var firewallMode = ""

    /// Nothing known yet.
    package init() {}
}

extension NetInfo: Codable {
    private enum CodingKeys: String, CodingKey {
        case mappingVariesByDestIP = "MappingVariesByDestIP"
        case workingIPv6 = "WorkingIPv6"
        case osHasIPv6 = "OSHasIPv6"
        case workingUDP = "WorkingUDP"
        case workingICMPv4 = "WorkingICMPv4"
        case havePortMap = "HavePortMap"
        case upnp = "UPnP"
        case pmp = "PMP"
        case pcp = "PCP"
        case preferredDERP = "PreferredDERP"
        case linkType = "LinkType"
        case derpLatency = "DERPLatency"
        case firewallMode = "FirewallMode"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        mappingVariesByDestIP = try members.decodeIfPresent(Bool.self, forKey: .mappingVariesByDestIP)
        workingIPv6 = try members.decodeIfPresent(Bool.self, forKey: .workingIPv6)
        osHasIPv6 = try members.decodeIfPresent(Bool.self, forKey: .osHasIPv6)
        workingUDP = try members.decodeIfPresent(Bool.self, forKey: .workingUDP)
        workingICMPv4 = try members.decodeIfPresent(Bool.self, forKey: .workingICMPv4)
        havePortMap = try members.decodeIfPresent(Bool.self, forKey: .havePortMap)
        upnp = try members.decodeIfPresent(Bool.self, forKey: .upnp)
        pmp = try members.decodeIfPresent(Bool.self, forKey: .pmp)
        pcp = try members.decodeIfPresent(Bool.self, forKey: .pcp)
        preferredDERP = try members.value(.preferredDERP, or: .none)
        linkType = try members.text(.linkType)
        derpLatency = try members.value(.derpLatency, or: [:])
        firewallMode = try members.text(.firewallMode)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encodeIfPresent(mappingVariesByDestIP, forKey: .mappingVariesByDestIP)
        try members.encodeIfPresent(workingIPv6, forKey: .workingIPv6)
        try members.encodeIfPresent(osHasIPv6, forKey: .osHasIPv6)
        try members.encodeIfPresent(workingUDP, forKey: .workingUDP)
        try members.encodeIfPresent(workingICMPv4, forKey: .workingICMPv4)
        try members.encodeIfPresent(havePortMap, forKey: .havePortMap)
        try members.encodeIfPresent(upnp, forKey: .upnp)
        try members.encodeIfPresent(pmp, forKey: .pmp)
        try members.encodeIfPresent(pcp, forKey: .pcp)
        try members.encode(preferredDERP, unless: .none, forKey: .preferredDERP)
        try members.encode(unlessEmpty: linkType, forKey: .linkType)
        try members.encode(unlessEmpty: derpLatency, forKey: .derpLatency)
        try members.encode(unlessEmpty: firewallMode, forKey: .firewallMode)
    }
}

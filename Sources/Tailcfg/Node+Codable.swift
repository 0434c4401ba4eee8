import NetTypes
import WarrenCrypto

extension Node: Codable {
    private enum CodingKeys: String, CodingKey {
        case id = "ID"
        case stableID = "StableID"
        case name = "Name"
        case user = "User"
        case sharer = "Sharer"
        case key = "Key"
        case keyExpiry = "KeyExpiry"
        case keySignature = "KeySignature"
        case machine = "Machine"
        case discoKey = "DiscoKey"
        case addresses = "Addresses"
        case allowedIPs = "AllowedIPs"
        case endpoints = "Endpoints"
        case legacyDERP = "DERP"
        case homeDERP = "HomeDERP"
        case hostinfo = "Hostinfo"
        case created = "Created"
        case capabilityVersion = "Cap"
        case tags = "Tags"
        case primaryRoutes = "PrimaryRoutes"
        case lastSeen = "LastSeen"
        case online = "Online"
        case machineAuthorized = "MachineAuthorized"
        case capabilities = "Capabilities"
        case capabilityMap = "CapMap"
        case dataPlaneAuditLogID = "DataPlaneAuditLogID"
        case unsignedPeerAPIOnly = "UnsignedPeerAPIOnly"
        case expired = "Expired"
        case selfIPv4MasqueradeAddress = "SelfNodeV4MasqAddrForThisPeer"
        case selfIPv6MasqueradeAddress = "SelfNodeV6MasqAddrForThisPeer"
        case isWireGuardOnly = "IsWireGuardOnly"
        case isJailed = "IsJailed"
        case exitNodeDNSResolvers = "ExitNodeDNSResolvers"
    }

    /// Reads the object; `normalize` is left to the one who merges.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        self.init(id: try members.value(.id, or: 0))
        stableID = try members.text(.stableID)
        name = try members.text(.name)
        user = try members.value(.user, or: 0)
        sharer = try members.value(.sharer, or: 0)
        key = try members.value(.key, or: .zero)
        keyExpiry = try members.value(.keyExpiry, or: .zero)
        keySignature = try members.decodeIfPresent(String.self, forKey: .keySignature)
        machine = try members.value(.machine, or: .zero)
        discoKey = try members.value(.discoKey, or: .zero)
        addresses = try members.list(.addresses)
        allowedIPs = try members.decodeIfPresent([IPPrefix].self, forKey: .allowedIPs)
        endpoints = try members.list(.endpoints)
        legacyDERP = try members.text(.legacyDERP)
        homeDERP = try members.value(.homeDERP, or: .none)
        hostinfo = try members.decodeIfPresent(Hostinfo.self, forKey: .hostinfo)
        created = try members.value(.created, or: .zero)
        capabilityVersion = try members.value(.capabilityVersion, or: 0)
        tags = try members.list(.tags)
        primaryRoutes = try members.list(.primaryRoutes)
        lastSeen = try members.decodeIfPresent(ControlTime.self, forKey: .lastSeen)
        online = try members.decodeIfPresent(Bool.self, forKey: .online)
        machineAuthorized = try members.flag(.machineAuthorized)
        capabilities = try members.list(.capabilities)
        capabilityMap = try members.value(.capabilityMap, or: [:])
        dataPlaneAuditLogID = try members.text(.dataPlaneAuditLogID)
        unsignedPeerAPIOnly = try members.flag(.unsignedPeerAPIOnly)
        expired = try members.flag(.expired)
        selfIPv4MasqueradeAddress = IPAddress(try members.text(.selfIPv4MasqueradeAddress))
        selfIPv6MasqueradeAddress = IPAddress(try members.text(.selfIPv6MasqueradeAddress))
        isWireGuardOnly = try members.flag(.isWireGuardOnly)
        isJailed = try members.flag(.isJailed)
        exitNodeDNSResolvers = try members.list(.exitNodeDNSResolvers)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(id, forKey: .id)
        try members.encode(unlessEmpty: stableID, forKey: .stableID)
        try members.encode(unlessEmpty: name, forKey: .name)
        try members.encode(user, unless: 0, forKey: .user)
        try members.encode(sharer, unless: 0, forKey: .sharer)
        try members.encode(key, unless: .zero, forKey: .key)
        try members.encode(keyExpiry, unless: .zero, forKey: .keyExpiry)
        try members.encodeIfPresent(keySignature, forKey: .keySignature)
        try members.encode(machine, unless: .zero, forKey: .machine)
        try members.encode(discoKey, unless: .zero, forKey: .discoKey)
        try members.encode(unlessEmpty: addresses, forKey: .addresses)
        try members.encodeIfPresent(allowedIPs, forKey: .allowedIPs)
        try members.encode(unlessEmpty: endpoints, forKey: .endpoints)
        try members.encode(unlessEmpty: legacyDERP, forKey: .legacyDERP)
        try members.encode(homeDERP, unless: .none, forKey: .homeDERP)
        try members.encodeIfPresent(hostinfo, forKey: .hostinfo)
        try members.encode(created, unless: .zero, forKey: .created)
        try members.encode(capabilityVersion, unless: 0, forKey: .capabilityVersion)
        try members.encode(unlessEmpty: tags, forKey: .tags)
        try members.encode(unlessEmpty: primaryRoutes, forKey: .primaryRoutes)
        try members.encodeIfPresent(lastSeen, forKey: .lastSeen)
        try members.encodeIfPresent(online, forKey: .online)
        try members.encode(ifTrue: machineAuthorized, forKey: .machineAuthorized)
        try members.encode(unlessEmpty: capabilities, forKey: .capabilities)
        try members.encode(unlessEmpty: capabilityMap, forKey: .capabilityMap)
        try members.encode(unlessEmpty: dataPlaneAuditLogID, forKey: .dataPlaneAuditLogID)
        try members.encode(ifTrue: unsignedPeerAPIOnly, forKey: .unsignedPeerAPIOnly)
        try members.encode(ifTrue: expired, forKey: .expired)
        try members.encodeIfPresent(selfIPv4MasqueradeAddress, forKey: .selfIPv4MasqueradeAddress)
        try members.encodeIfPresent(selfIPv6MasqueradeAddress, forKey: .selfIPv6MasqueradeAddress)
        try members.encode(ifTrue: isWireGuardOnly, forKey: .isWireGuardOnly)
        try members.encode(ifTrue: isJailed, forKey: .isJailed)
        try members.encode(unlessEmpty: exitNodeDNSResolvers, forKey: .exitNodeDNSResolvers)
    }
}

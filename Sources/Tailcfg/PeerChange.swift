package import NetTypes
package import WarrenCrypto

/// A patch of one known peer; nil members keep what was there.
package struct PeerChange: Hashable, Sendable {
    /// The peer.
    package var nodeID: NodeID
    /// The new home region.
    package var derpRegion: DERPRegionID?
    /// The new capability version.
    package var capabilityVersion: CapabilityVersion?
    /// The new attributes, replacing all.
    package var capabilityMap: CapabilityMap?
    /// The new endpoints, replacing all.
    package var endpoints: [AddressPort]?
    /// The new node key: drop the WireGuard peer, make a new one.
    package var key: NodePublicKey?
    /// Base64, tailnet lock only.
    package var keySignature: String?
    /// The new disco key: the peer has restarted.
    package var discoKey: DiscoPublicKey?
    /// Whether the peer is connected to control.
    package var online: Bool?
    /// When it was last seen.
    package var lastSeen: ControlTime?
    /// When its key ends.
    package var keyExpiry: ControlTime?

    /// A patch that changes nothing.
    package init(nodeID: NodeID) { self.nodeID = nodeID }

    /// Overwrites the members that are present.
    package func apply(to node: inout Node) {
        if let derpRegion { node.homeDERP = derpRegion }
        if let capabilityVersion { node.capabilityVersion = capabilityVersion }
        if let capabilityMap { node.capabilityMap = capabilityMap }
        if let endpoints { node.endpoints = endpoints }
        if let key { node.key = key }
        if let keySignature { node.keySignature = keySignature }
        if let discoKey { node.discoKey = discoKey }
        if let online { node.online = online }
        if let lastSeen { node.lastSeen = lastSeen }
        if let keyExpiry { node.keyExpiry = keyExpiry }
    }
}

extension PeerChange: Codable {
    private enum CodingKeys: String, CodingKey {
        case nodeID = "NodeID"
        case derpRegion = "DERPRegion"
        case capabilityVersion = "Cap"
        case capabilityMap = "CapMap"
        case endpoints = "Endpoints"
        case key = "Key"
        case keySignature = "KeySignature"
        case discoKey = "DiscoKey"
        case online = "Online"
        case lastSeen = "LastSeen"
        case keyExpiry = "KeyExpiry"
    }

    /// Reads the object; a region or version of 0 says nothing.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        nodeID = try members.value(.nodeID, or: 0)
        let region = try members.value(.derpRegion, or: DERPRegionID.none)
        derpRegion = region.isNone ? nil : region
        let version = try members.value(.capabilityVersion, or: CapabilityVersion(rawValue: 0))
        capabilityVersion = version == 0 ? nil : version
        capabilityMap = try members.decodeIfPresent(CapabilityMap.self, forKey: .capabilityMap)
        endpoints = try members.decodeIfPresent([AddressPort].self, forKey: .endpoints)
        key = try members.decodeIfPresent(NodePublicKey.self, forKey: .key)
        keySignature = try members.decodeIfPresent(String.self, forKey: .keySignature)
        discoKey = try members.decodeIfPresent(DiscoPublicKey.self, forKey: .discoKey)
        online = try members.decodeIfPresent(Bool.self, forKey: .online)
        lastSeen = try members.decodeIfPresent(ControlTime.self, forKey: .lastSeen)
        keyExpiry = try members.decodeIfPresent(ControlTime.self, forKey: .keyExpiry)
    }

    /// Writes the members that are present.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(nodeID, forKey: .nodeID)
        try members.encodeIfPresent(derpRegion, forKey: .derpRegion)
        try members.encodeIfPresent(capabilityVersion, forKey: .capabilityVersion)
        try members.encodeIfPresent(capabilityMap, forKey: .capabilityMap)
        try members.encodeIfPresent(endpoints, forKey: .endpoints)
        try members.encodeIfPresent(key, forKey: .key)
        try members.encodeIfPresent(keySignature, forKey: .keySignature)
        try members.encodeIfPresent(discoKey, forKey: .discoKey)
        try members.encodeIfPresent(online, forKey: .online)
        try members.encodeIfPresent(lastSeen, forKey: .lastSeen)
        try members.encodeIfPresent(keyExpiry, forKey: .keyExpiry)
    }
}

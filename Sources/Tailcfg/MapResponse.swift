/// One message of the map stream; absent, null and (unless said otherwise) empty members change nothing.
package struct MapResponse: Hashable, Sendable {
    /// Whether the message only keeps the stream alive.
    package var keepAlive = false
    /// A request to answer.
    package var pingRequest: PingRequest?
    /// A page to show to the user, once per distinct URL.
    package var popBrowserURL = ""
    /// The own node, replacing it; present in the first message of a stream.
    package var node: Node?
    /// The relays, whole or as a delta.
    package var derpMap: DERPMapUpdate?
    /// Not empty: all peers, replacing them.
    package var peers: [Node] = []
    /// Peers to add or replace.
    package var peersChanged: [Node] = []
    /// Peers to remove.
    package var peersRemoved: [NodeID] = []
    /// Patches of known peers.
    package var peersChangedPatch: [PeerChange] = []
    /// true: seen now, false: last seen is unknown.
    package var peerSeenChange: [NodeID: Bool] = [:]
    /// Whether peers are connected to control.
    package var onlineChange: [NodeID: Bool] = [:]
    /// The resolver's configuration, replacing it.
    package var dnsConfig: DNSConfig?
    /// The tailnet's display name.
    package var domain = ""
    /// Whether services are to be reported.
    package var collectServices: Bool?
    /// The filter named "base"; empty = block everything, nil = unchanged.
    package var packetFilter: [FilterRule]?
    /// A patch of named filters: nil rules delete a name, `*` with nil deletes all first.
    package var packetFilters: [String: [FilterRule]?] = [:]
    /// Users to add or replace.
    package var userProfiles: [UserProfile] = []
    /// Problems in the old form; empty = healthy, nil = unchanged.
    package var health: [String]?
    /// A patch of messages by id, with the same `*` convention.
    package var displayMessages: [String: DisplayMessage?] = [:]
    /// The SSH policy, as it came.
    package var sshPolicy: JSONFragment?
    /// Control's clock.
    package var controlTime: ControlTime?
    /// Tailnet lock; absent in the first message = off.
    package var tailnetLock: TailnetLockNotice?
    /// Where data-plane logs would go.
    package var domainDataPlaneAuditLogID = ""
    /// Instructions to the client process.
    package var debug: ControlDebug?
    /// Addresses for the next dial.
    package var controlDialPlan: ControlDialPlan?
    /// Newer client versions.
    package var clientVersion: ClientVersion?
    /// Names the stream for a later resumption.
    package var mapSessionHandle = ""
    /// The number of the message in a session that can be resumed.
    package var sequence: Int64 = 0
    /// Whether clients without an opinion update themselves; ignored.
    package var defaultAutoUpdate: Bool?
    /// Peers of the message that could not be decoded and were left out.
    package var undecodablePeerCount = 0

    /// A message that changes nothing.
    package init() {}
}

extension MapResponse: Codable {
    private enum CodingKeys: String, CodingKey {
        case mapSessionHandle = "MapSessionHandle"
        case sequence = "Seq"
        case keepAlive = "KeepAlive"
        case pingRequest = "PingRequest"
        case popBrowserURL = "PopBrowserURL"
        case node = "Node"
        case derpMap = "DERPMap"
        case peers = "Peers"
        case peersChanged = "PeersChanged"
        case peersRemoved = "PeersRemoved"
        case peersChangedPatch = "PeersChangedPatch"
        case peerSeenChange = "PeerSeenChange"
        case onlineChange = "OnlineChange"
        case dnsConfig = "DNSConfig"
        case domain = "Domain"
        case collectServices = "CollectServices"
        case packetFilter = "PacketFilter"
        case packetFilters = "PacketFilters"
        case userProfiles = "UserProfiles"
        case health = "Health"
        case displayMessages = "DisplayMessages"
        case sshPolicy = "SSHPolicy"
        case controlTime = "ControlTime"
        case tailnetLock = "TKAInfo"
        case domainDataPlaneAuditLogID = "DomainDataPlaneAuditLogID"
        case debug = "Debug"
        case controlDialPlan = "ControlDialPlan"
        case clientVersion = "ClientVersion"
        case defaultAutoUpdate = "DefaultAutoUpdate"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        keepAlive = try members.flag(.keepAlive)
        pingRequest = try members.decodeIfPresent(PingRequest.self, forKey: .pingRequest)
        popBrowserURL = try members.text(.popBrowserURL)
        node = try members.decodeIfPresent(Node.self, forKey: .node)
        derpMap = try members.decodeIfPresent(DERPMapUpdate.self, forKey: .derpMap)
        let all: [Lenient<Node>] = try members.list(.peers)
        peers = all.compactMap(\.value)
        let changed: [Lenient<Node>] = try members.list(.peersChanged)
        peersChanged = changed.compactMap(\.value)
        undecodablePeerCount = all.count - peers.count + changed.count - peersChanged.count
        peersRemoved = try members.list(.peersRemoved)
        peersChangedPatch = try members.list(.peersChangedPatch)
        peerSeenChange = try members.value(.peerSeenChange, or: [:])
        onlineChange = try members.value(.onlineChange, or: [:])
        dnsConfig = try members.decodeIfPresent(DNSConfig.self, forKey: .dnsConfig)
        domain = try members.text(.domain)
        collectServices = try members.decodeIfPresent(Bool.self, forKey: .collectServices)
        packetFilter = try members.decodeIfPresent([FilterRule].self, forKey: .packetFilter)
        packetFilters = try members.value(.packetFilters, or: [:])
        userProfiles = try members.list(.userProfiles)
        health = try members.decodeIfPresent([String].self, forKey: .health)
        displayMessages = try members.value(.displayMessages, or: [:])
        sshPolicy = try members.decodeIfPresent(JSONFragment.self, forKey: .sshPolicy)
        controlTime = try members.decodeIfPresent(ControlTime.self, forKey: .controlTime)
        tailnetLock = try members.decodeIfPresent(TailnetLockNotice.self, forKey: .tailnetLock)
        domainDataPlaneAuditLogID = try members.text(.domainDataPlaneAuditLogID)
        debug = try members.decodeIfPresent(ControlDebug.self, forKey: .debug)
        controlDialPlan = try members.decodeIfPresent(ControlDialPlan.self, forKey: .controlDialPlan)
        clientVersion = try members.decodeIfPresent(ClientVersion.self, forKey: .clientVersion)
        mapSessionHandle = try members.text(.mapSessionHandle)
        sequence = try members.value(.sequence, or: 0)
        defaultAutoUpdate = try members.decodeIfPresent(Bool.self, forKey: .defaultAutoUpdate)
    }

    /// Writes the object without its zero members; to send an empty filter, use `packetFilters`.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(ifTrue: keepAlive, forKey: .keepAlive)
        try members.encodeIfPresent(pingRequest, forKey: .pingRequest)
        try members.encode(unlessEmpty: popBrowserURL, forKey: .popBrowserURL)
        try members.encodeIfPresent(node, forKey: .node)
        try members.encodeIfPresent(derpMap, forKey: .derpMap)
        try members.encode(unlessEmpty: peers, forKey: .peers)
        try members.encode(unlessEmpty: peersChanged, forKey: .peersChanged)
        try members.encode(unlessEmpty: peersRemoved, forKey: .peersRemoved)
        try members.encode(unlessEmpty: peersChangedPatch, forKey: .peersChangedPatch)
        try members.encode(unlessEmpty: peerSeenChange, forKey: .peerSeenChange)
        try members.encode(unlessEmpty: onlineChange, forKey: .onlineChange)
        try members.encodeIfPresent(dnsConfig, forKey: .dnsConfig)
        try members.encode(unlessEmpty: domain, forKey: .domain)
        try members.encodeIfPresent(collectServices, forKey: .collectServices)
        if let packetFilter { try members.encode(unlessEmpty: packetFilter, forKey: .packetFilter) }
        try members.encode(unlessEmpty: packetFilters, forKey: .packetFilters)
        try members.encode(unlessEmpty: userProfiles, forKey: .userProfiles)
        if let health { try members.encode(unlessEmpty: health, forKey: .health) }
        try members.encode(unlessEmpty: displayMessages, forKey: .displayMessages)
        try members.encodeIfPresent(sshPolicy, forKey: .sshPolicy)
        try members.encodeIfPresent(controlTime, forKey: .controlTime)
        try members.encodeIfPresent(tailnetLock, forKey: .tailnetLock)
        try members.encode(unlessEmpty: domainDataPlaneAuditLogID, forKey: .domainDataPlaneAuditLogID)
        try members.encodeIfPresent(debug, forKey: .debug)
        try members.encodeIfPresent(controlDialPlan, forKey: .controlDialPlan)
        try members.encodeIfPresent(clientVersion, forKey: .clientVersion)
        try members.encode(unlessEmpty: mapSessionHandle, forKey: .mapSessionHandle)
        try members.encode(sequence, unless: 0, forKey: .sequence)
        try members.encodeIfPresent(defaultAutoUpdate, forKey: .defaultAutoUpdate)
    }
}

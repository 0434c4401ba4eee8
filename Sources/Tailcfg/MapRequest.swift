package import NetTypes
package import WarrenCrypto

/// How a node learned of one of its endpoints.
package struct EndpointType: RawRepresentable, Hashable, Sendable, Codable {
    /// The wire value.
    package let rawValue: Int
    /// Wraps the wire value.
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Unknown.
    package static let unknown = EndpointType(rawValue: 0)
    /// An address of an own interface.
    package static let local = EndpointType(rawValue: 1)
    /// Seen by a STUN server.
    package static let stun = EndpointType(rawValue: 2)
    /// A port mapping.
    package static let portMapped = EndpointType(rawValue: 3)
    /// The STUN address with the local port.
    package static let stunIPv4LocalPort = EndpointType(rawValue: 4)
    /// Configured.
    package static let explicit = EndpointType(rawValue: 5)
}

/// The body of `POST /machine/map`: a poll, a state update ("lite") or a one-shot fetch.
package struct MapRequest: Hashable, Sendable {
    /// What the client understands.
    package var version: CapabilityVersion
    /// `zstd`, or empty for none.
    package var compress = ""
    /// Whether keep-alives are wanted.
    package var keepAlive = true
    /// The registered key.
    package var nodeKey: NodePublicKey
    /// The current disco key.
    package var discoKey: DiscoPublicKey
    /// Whether this is a poll.
    package var stream = false
    /// What the node says about its host.
    package var hostinfo: Hostinfo?
    /// UDP candidates; nil = not said (the field is omitted when empty).
    package var endpoints: [AddressPort]?
    /// The types of `endpoints`, in their order.
    package var endpointTypes: [EndpointType] = []
    /// Whether no peers are wanted: together with `stream` false, a state update.
    package var omitPeers = false
    /// Obsolete: change nothing.
    package var readOnly = false
    /// Free-form switches.
    package var debugFlags: [String] = []
    /// The session that a poll wants to go on with, as far as it was followed.
    package var mapSession: MapSession?

    /// A request that neither streams nor omits peers.
    package init(
        version: CapabilityVersion,
        nodeKey: NodePublicKey,
        discoKey: DiscoPublicKey,
        hostinfo: Hostinfo?
    ) {
        self.version = version
        self.nodeKey = nodeKey
        self.discoKey = discoKey
        self.hostinfo = hostinfo
    }
}

/// How far a session of map messages was followed; its server may let another poll go on from there.
package struct MapSession: Hashable, Sendable {
    /// What the server called the session.
    package let handle: String
    /// The number of the last message that was taken in.
    package var sequence: Int64

    /// Longer names are not remembered.
    private static let longestHandle = 1024

    /// A session that begins with a message of this number; nil for a server that does not resume.
    package init?(handle: String, sequence: Int64) {
        guard !handle.isEmpty, handle.utf8.count <= Self.longestHandle else { return nil }
        self.handle = handle
        self.sequence = sequence
    }
}

extension MapRequest: Codable {
    private enum CodingKeys: String, CodingKey {
        case mapSessionHandle = "MapSessionHandle"
        case mapSessionSequence = "MapSessionSeq"
        case version = "Version"
        case compress = "Compress"
        case keepAlive = "KeepAlive"
        case nodeKey = "NodeKey"
        case discoKey = "DiscoKey"
        case stream = "Stream"
        case hostinfo = "Hostinfo"
        case endpoints = "Endpoints"
        case endpointTypes = "EndpointTypes"
        case omitPeers = "OmitPeers"
        case readOnly = "ReadOnly"
        case debugFlags = "DebugFlags"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        version = try members.value(.version, or: 0)
        compress = try members.text(.compress)
        keepAlive = try members.flag(.keepAlive)
        nodeKey = try members.value(.nodeKey, or: .zero)
        discoKey = try members.value(.discoKey, or: .zero)
        stream = try members.flag(.stream)
        hostinfo = try members.decodeIfPresent(Hostinfo.self, forKey: .hostinfo)
        endpoints = try members.decodeIfPresent([Lenient<AddressPort>].self, forKey: .endpoints)?.compactMap(\.value)
        endpointTypes = try members.list(.endpointTypes)
        omitPeers = try members.flag(.omitPeers)
        readOnly = try members.flag(.readOnly)
        debugFlags = try members.list(.debugFlags)
        mapSession = MapSession(
            handle: try members.text(.mapSessionHandle),
            sequence: try members.value(.mapSessionSequence, or: 0)
        )
    }

    /// Writes the object.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(version, forKey: .version)
        try members.encode(unlessEmpty: compress, forKey: .compress)
        try members.encode(keepAlive, forKey: .keepAlive)
        try members.encode(nodeKey, forKey: .nodeKey)
        try members.encode(discoKey, forKey: .discoKey)
        try members.encode(ifTrue: stream, forKey: .stream)
        try members.encode(hostinfo, forKey: .hostinfo)
        if let endpoints { try members.encode(unlessEmpty: endpoints, forKey: .endpoints) }
        try members.encode(unlessEmpty: endpointTypes, forKey: .endpointTypes)
        try members.encode(ifTrue: omitPeers, forKey: .omitPeers)
        try members.encode(ifTrue: readOnly, forKey: .readOnly)
        try members.encode(unlessEmpty: debugFlags, forKey: .debugFlags)
        if let mapSession {
            try members.encode(mapSession.handle, forKey: .mapSessionHandle)
            try members.encode(mapSession.sequence, forKey: .mapSessionSequence)
        }
    }
}

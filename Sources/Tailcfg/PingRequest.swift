import FoundationEssentials
package import NetTypes

/// A request that control sends to a node inside a map message.
package struct PingRequest: Hashable, Sendable {
    /// Where the answer goes; empty or equal to the last one handled: ignore.
    package var url: String
    /// Whether the answer goes over the Noise connection.
    package var urlIsNoise: Bool
    /// Whether the client may log the request.
    package var log = false
    /// Empty, `c2n`, or a comma list of `disco`, `TSMP`, `ICMP`, `peerapi`.
    package var types: String
    /// The peer to ping.
    package var ip: IPAddress?
    /// For `c2n`: a complete HTTP/1 request.
    package var payload: [UInt8]

    /// Makes a request.
    package init(
        url: String,
        urlIsNoise: Bool,
        types: String = "",
        ip: IPAddress? = nil,
        payload: [UInt8] = []
    ) {
        self.url = url
        self.urlIsNoise = urlIsNoise
        self.types = types
        self.ip = ip
        self.payload = payload
    }

    /// The members of `types`.
    package var typeList: [Substring] { types.split(separator: ",") }
}

extension PingRequest: Codable {
    private enum CodingKeys: String, CodingKey {
        case url = "URL"
        case urlIsNoise = "URLIsNoise"
        case log = "Log"
        case types = "Types"
        case ip = "IP"
        case payload = "Payload"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        url = try members.text(.url)
        urlIsNoise = try members.flag(.urlIsNoise)
        log = try members.flag(.log)
        types = try members.text(.types)
        // The zero address is the empty string in Go's JSON.
        ip = IPAddress(try members.text(.ip))
        let text = try members.text(.payload)
        guard let data = Data(base64Encoded: text) else {
            throw DecodingError.dataCorruptedError(forKey: .payload, in: members, debugDescription: "not base64")
        }
        payload = [UInt8](data)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(url, forKey: .url)
        try members.encode(ifTrue: urlIsNoise, forKey: .urlIsNoise)
        try members.encode(ifTrue: log, forKey: .log)
        try members.encode(unlessEmpty: types, forKey: .types)
        try members.encodeIfPresent(ip, forKey: .ip)
        if !payload.isEmpty { try members.encode(Data(payload).base64EncodedString(), forKey: .payload) }
    }
}

/// What a node answers to a path probe of control.
package struct PingResponse: Hashable, Sendable {
    /// The type probed.
    package var type: String
    /// The address probed.
    package var ip = ""
    /// The peer's own address.
    package var nodeIP = ""
    /// The peer's name.
    package var nodeName = ""
    /// What went wrong.
    package var error = ""
    /// The round trip.
    package var latencySeconds = 0.0
    /// The UDP path, if direct.
    package var endpoint = ""
    /// The region, if relayed.
    package var derpRegionID: DERPRegionID = .none
    /// The region's code, if relayed.
    package var derpRegionCode = ""
    /// The peer's API port.
    package var peerAPIPort: UInt16 = 0
    /// Whether the address was the node's own.
    package var isLocalIP = false

    /// An answer to a probe of `type`.
    package init(type: String) { self.type = type }
}

extension PingResponse: Codable {
    private enum CodingKeys: String, CodingKey {
        case type = "Type"
        case ip = "IP"
        case nodeIP = "NodeIP"
        case nodeName = "NodeName"
        case error = "Err"
        case latencySeconds = "LatencySeconds"
        case endpoint = "Endpoint"
        case derpRegionID = "DERPRegionID"
        case derpRegionCode = "DERPRegionCode"
        case peerAPIPort = "PeerAPIPort"
        case isLocalIP = "IsLocalIP"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        type = try members.text(.type)
        ip = try members.text(.ip)
        nodeIP = try members.text(.nodeIP)
        nodeName = try members.text(.nodeName)
        error = try members.text(.error)
        latencySeconds = try members.value(.latencySeconds, or: 0)
        endpoint = try members.text(.endpoint)
        derpRegionID = try members.value(.derpRegionID, or: .none)
        derpRegionCode = try members.text(.derpRegionCode)
        peerAPIPort = try members.value(.peerAPIPort, or: 0)
        isLocalIP = try members.flag(.isLocalIP)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(type, forKey: .type)
        try members.encode(unlessEmpty: ip, forKey: .ip)
        try members.encode(unlessEmpty: nodeIP, forKey: .nodeIP)
        try members.encode(unlessEmpty: nodeName, forKey: .nodeName)
        try members.encode(unlessEmpty: error, forKey: .error)
        try members.encode(latencySeconds, unless: 0, forKey: .latencySeconds)
        try members.encode(unlessEmpty: endpoint, forKey: .endpoint)
        try members.encode(derpRegionID, unless: .none, forKey: .derpRegionID)
        try members.encode(unlessEmpty: derpRegionCode, forKey: .derpRegionCode)
        try members.encode(peerAPIPort, unless: 0, forKey: .peerAPIPort)
        try members.encode(ifTrue: isLocalIP, forKey: .isLocalIP)
    }
}

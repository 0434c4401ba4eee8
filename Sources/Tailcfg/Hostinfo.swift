package import FoundationEssentials
package import NetTypes

/// A service that a host announces; of interest are only `peerapi4`, `peerapi6` and `peerapi-dns-proxy`.
package struct HostService: Hashable, Sendable {
    /// `tcp`, `udp`, `peerapi4`, `peerapi6` or `peerapi-dns-proxy`.
    package var proto: String
    /// The port.
    package var port: UInt16
    /// Free text.
    package var description: String

    /// Names a service.
    package init(proto: String, port: UInt16, description: String = "") {
        self.proto = proto
        self.port = port
        self.description = description
    }
}

extension HostService: Codable {
    private enum CodingKeys: String, CodingKey {
        case proto = "Proto"
        case port = "Port"
        case description = "Description"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        proto = try members.text(.proto)
        port = try members.value(.port, or: 0)
        description = try members.text(.description)
    }

    /// Writes the object.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(proto, forKey: .proto)
        try members.encode(port, forKey: .port)
        try members.encode(unlessEmpty: description, forKey: .description)
    }
}

/// What a node says about its host ("Hostinfo"); members nobody here reads stay in `others`.
package struct Hostinfo: Hashable, Sendable {
    /// The client's version, `1.98.0-…`.
    package var ipnVersion = ""
    /// 64 hex digits, random and stable per installation; stock clients refuse to send requests without it.
    package var backendLogID = ""
    /// The system, such as `linux`, `macOS` or `windows`.
    package var os = ""
    /// The system's version.
    package var osVersion = ""
    /// The host's name, first label only; the server makes the node name from it.
    package var hostname = ""
    /// The architecture in Go's words.
    package var goArch = ""
    /// The embedding program.
    package var app = ""
    /// Whether the client runs in userspace mode.
    package var userspace: Bool?
    /// Whether its subnet router runs in userspace mode.
    package var userspaceRouter: Bool?
    /// Whether the node refuses all incoming connections.
    package var shieldsUp = false
    /// Routes offered.
    package var routableIPs: [IPPrefix] = []
    /// Tags wanted.
    package var requestTags: [String] = []
    /// Services announced.
    package var services: [HostService] = []
    /// What is known of the network; nil = nothing said.
    package var netInfo: NetInfo?
    /// The stable id of the exit node in use, empty for none.
    package var exitNodeID = ""
    /// Known members of tailcfg without a property here, as they came.
    package var others: [String: JSONFragment] = [:]

    /// An empty Hostinfo.
    package init() {}

    /// Members of tailcfg's Hostinfo that are kept in `others`; everything else unknown is ignored.
    static let otherNames: Set<String> = [
        "FrontendLogID", "Container", "Env", "Distro", "DistroVersion", "DistroCodeName", "Desktop", "Package",
        "DeviceModel", "PushDeviceToken", "GoArchVar", "GoVersion", "Machine", "ShareeNode", "NoLogsNoSupport",
        "WireIngress", "IngressEnabled", "AllowsUpdate", "WoLMACs", "sshHostKeys", "Cloud", "AppConnector",
        "ServicesHash", "Location", "TPM", "StateEncrypted", "PeerRelay",
    ]
}

extension Hostinfo: Codable {
    private enum CodingKeys: String, CodingKey {
        case ipnVersion = "IPNVersion"
        case backendLogID = "BackendLogID"
        case os = "OS"
        case osVersion = "OSVersion"
        case hostname = "Hostname"
        case goArch = "GoArch"
        case app = "App"
        case userspace = "Userspace"
        case userspaceRouter = "UserspaceRouter"
        case shieldsUp = "ShieldsUp"
        case routableIPs = "RoutableIPs"
        case requestTags = "RequestTags"
        case services = "Services"
        case netInfo = "NetInfo"
        case exitNodeID = "ExitNodeID"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        if let key = CodingUserInfoKey.briefHostinfo, decoder.userInfo[key] != nil {
            os = try members.text(.os)
            hostname = try members.text(.hostname)
            services = try members.list(.services)
            return
        }
        ipnVersion = try members.text(.ipnVersion)
        backendLogID = try members.text(.backendLogID)
        os = try members.text(.os)
        osVersion = try members.text(.osVersion)
        hostname = try members.text(.hostname)
        goArch = try members.text(.goArch)
        app = try members.text(.app)
        userspace = try members.decodeIfPresent(Bool.self, forKey: .userspace)
        userspaceRouter = try members.decodeIfPresent(Bool.self, forKey: .userspaceRouter)
        shieldsUp = try members.flag(.shieldsUp)
        routableIPs = try members.list(.routableIPs)
        requestTags = try members.list(.requestTags)
        services = try members.list(.services)
        netInfo = try members.decodeIfPresent(NetInfo.self, forKey: .netInfo)
        exitNodeID = try members.text(.exitNodeID)
        let every = try decoder.container(keyedBy: AnyMember.self)
        for key in every.allKeys where Self.otherNames.contains(key.stringValue) {
            others[key.stringValue] = try every.decode(JSONFragment.self, forKey: key)
        }
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(unlessEmpty: ipnVersion, forKey: .ipnVersion)
        try members.encode(unlessEmpty: backendLogID, forKey: .backendLogID)
        try members.encode(unlessEmpty: os, forKey: .os)
        try members.encode(unlessEmpty: osVersion, forKey: .osVersion)
        try members.encode(unlessEmpty: hostname, forKey: .hostname)
        try members.encode(unlessEmpty: goArch, forKey: .goArch)
        try members.encode(unlessEmpty: app, forKey: .app)
        try members.encodeIfPresent(userspace, forKey: .userspace)
        try members.encodeIfPresent(userspaceRouter, forKey: .userspaceRouter)
        try members.encode(ifTrue: shieldsUp, forKey: .shieldsUp)
        try members.encode(unlessEmpty: routableIPs, forKey: .routableIPs)
        try members.encode(unlessEmpty: requestTags, forKey: .requestTags)
        try members.encode(unlessEmpty: services, forKey: .services)
        try members.encodeIfPresent(netInfo, forKey: .netInfo)
        try members.encode(unlessEmpty: exitNodeID, forKey: .exitNodeID)
        var every = encoder.container(keyedBy: AnyMember.self)
        for (name, value) in others {
            try every.encode(value, forKey: AnyMember(stringValue: name))
        }
    }
}

extension CodingUserInfoKey {
    /// Set when of every Hostinfo only name, system and services are to be read.
    fileprivate static let briefHostinfo = CodingUserInfoKey(rawValue: "briefHostinfo")
}

extension JSONDecoder {
    /// Reads map messages for a client: of what peers say about their hosts only what a client has a use for.
    ///
    /// That is most of a big map, and would be most of what stays of it.
    package static var forMapStream: JSONDecoder {
        let decoder = JSONDecoder()
        if let key = CodingUserInfoKey.briefHostinfo { decoder.userInfo[key] = true }
        return decoder
    }
}

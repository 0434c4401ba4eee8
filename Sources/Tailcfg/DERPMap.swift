package import NetTypes

/// One server of a DERP region.
package struct DERPNode: Hashable, Sendable {
    /// A name unique in the map, such as `1a`.
    package var name: String
    /// The region it belongs to.
    package var regionID: DERPRegionID
    /// The name dialled and, without `certName`, verified.
    package var hostName: String
    /// Empty: verify for `hostName`; a DNS name: verify for that; `sha256-raw:<64 hex>`: exactly that certificate.
    package var certName = ""
    /// A literal address instead of DNS, empty for DNS, anything else ("none") disables the family.
    package var ipv4 = ""
    /// Like `ipv4`.
    package var ipv6 = ""
    /// 0 = 3478, -1 = no STUN.
    package var stunPort = 0
    /// Whether the server speaks no DERP.
    package var stunOnly = false
    /// 0 = 443.
    package var derpPort = 0
    /// Whether no certificate is verified at all.
    package var insecureForTests = false
    /// The address that STUN is sent to in tests.
    package var stunTestIP = ""
    /// Whether `http://host/generate_204` works.
    package var canPort80 = false

    /// Names a server.
    package init(name: String, regionID: DERPRegionID, hostName: String) {
        self.name = name
        self.regionID = regionID
        self.hostName = hostName
    }
}

extension DERPNode {
    /// How a family of a server is reached.
    package enum Reach: Hashable, Sendable {
        /// At this address.
        case address(IPAddress)
        /// Through DNS of the host name.
        case dns
        /// Not at all.
        case disabled
    }

    /// How IPv4 is reached.
    package var ipv4Reach: Reach {
        ipv4.isEmpty ? .dns : IPv4Address(ipv4).map { .address(.v4($0)) } ?? .disabled
    }

    /// How IPv6 is reached.
    package var ipv6Reach: Reach {
        ipv6.isEmpty ? .dns : IPv6Address(ipv6).map { .address(.v6($0)) } ?? .disabled
    }

    /// The TCP port of DERP.
    package var effectiveDERPPort: UInt16 { derpPort == 0 ? 443 : UInt16(exactly: derpPort) ?? 443 }

    /// The UDP port of STUN; nil when the server has none.
    package var effectiveSTUNPort: UInt16? { stunPort == 0 ? 3478 : UInt16(exactly: stunPort) }
}

extension DERPNode: Codable {
    private enum CodingKeys: String, CodingKey {
        case name = "Name"
        case regionID = "RegionID"
        case hostName = "HostName"
        case certName = "CertName"
        case ipv4 = "IPv4"
        case ipv6 = "IPv6"
        case stunPort = "STUNPort"
        case stunOnly = "STUNOnly"
        case derpPort = "DERPPort"
        case insecureForTests = "InsecureForTests"
        case stunTestIP = "STUNTestIP"
        case canPort80 = "CanPort80"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        name = try members.text(.name)
        regionID = try members.value(.regionID, or: .none)
        hostName = try members.text(.hostName)
        certName = try members.text(.certName)
        ipv4 = try members.text(.ipv4)
        ipv6 = try members.text(.ipv6)
        stunPort = try members.value(.stunPort, or: 0)
        stunOnly = try members.flag(.stunOnly)
        derpPort = try members.value(.derpPort, or: 0)
        insecureForTests = try members.flag(.insecureForTests)
        stunTestIP = try members.text(.stunTestIP)
        canPort80 = try members.flag(.canPort80)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(name, forKey: .name)
        try members.encode(regionID, forKey: .regionID)
        try members.encode(hostName, forKey: .hostName)
        try members.encode(unlessEmpty: certName, forKey: .certName)
        try members.encode(unlessEmpty: ipv4, forKey: .ipv4)
        try members.encode(unlessEmpty: ipv6, forKey: .ipv6)
        try members.encode(stunPort, unless: 0, forKey: .stunPort)
        try members.encode(ifTrue: stunOnly, forKey: .stunOnly)
        try members.encode(derpPort, unless: 0, forKey: .derpPort)
        try members.encode(ifTrue: insecureForTests, forKey: .insecureForTests)
        try members.encode(unlessEmpty: stunTestIP, forKey: .stunTestIP)
        try members.encode(ifTrue: canPort80, forKey: .canPort80)
    }
}

/// A group of relays that know each other's clients.
package struct DERPRegion: Hashable, Sendable {
    /// The region's number.
    package var regionID: DERPRegionID
    /// A short code, such as `nyc`.
    package var regionCode: String
    /// A name for people.
    package var regionName: String
    /// Degrees north.
    package var latitude = 0.0
    /// Degrees east.
    package var longitude = 0.0
    /// Deprecated: do not choose as home if possible.
    package var avoid = false
    /// Neither probe nor choose as home, but connect when a peer's home is here.
    package var noMeasureNoHome = false
    /// The servers, in the order to try.
    package var nodes: [DERPNode]

    /// Describes a region.
    package init(regionID: DERPRegionID, regionCode: String, regionName: String, nodes: [DERPNode]) {
        self.regionID = regionID
        self.regionCode = regionCode
        self.regionName = regionName
        self.nodes = nodes
    }
}

extension DERPRegion: Codable {
    private enum CodingKeys: String, CodingKey {
        case regionID = "RegionID"
        case regionCode = "RegionCode"
        case regionName = "RegionName"
        case latitude = "Latitude"
        case longitude = "Longitude"
        case avoid = "Avoid"
        case noMeasureNoHome = "NoMeasureNoHome"
        case nodes = "Nodes"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        regionID = try members.value(.regionID, or: .none)
        regionCode = try members.text(.regionCode)
        regionName = try members.text(.regionName)
        latitude = try members.value(.latitude, or: 0)
        longitude = try members.value(.longitude, or: 0)
        avoid = try members.flag(.avoid)
        noMeasureNoHome = try members.flag(.noMeasureNoHome)
        nodes = try members.list(.nodes)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(regionID, forKey: .regionID)
        try members.encode(regionCode, forKey: .regionCode)
        try members.encode(regionName, forKey: .regionName)
        try members.encode(latitude, unless: 0, forKey: .latitude)
        try members.encode(longitude, unless: 0, forKey: .longitude)
        try members.encode(ifTrue: avoid, forKey: .avoid)
        try members.encode(ifTrue: noMeasureNoHome, forKey: .noMeasureNoHome)
        try members.encode(nodes, forKey: .nodes)
    }
}

/// How a client weighs regions when it chooses its home.
package struct DERPHomeParameters: Hashable, Sendable {
    /// Factors on the measured latency; nil in a delta keeps the previous ones.
    package var regionScore: [DERPRegionID: Double]?

    /// Wraps the scores.
    package init(regionScore: [DERPRegionID: Double]? = nil) { self.regionScore = regionScore }
}

extension DERPHomeParameters: Codable {
    private enum CodingKeys: String, CodingKey { case regionScore = "RegionScore" }

    /// Writes the scores unless there are none.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        if let regionScore { try members.encode(unlessEmpty: regionScore, forKey: .regionScore) }
    }
}

/// The relays of a tailnet, merged.
package struct DERPMap: Hashable, Sendable {
    /// How to weigh regions; nil when control never said.
    package var homeParameters: DERPHomeParameters?
    /// The regions by number.
    package var regions: [DERPRegionID: DERPRegion]
    /// Whether the vendor's default regions are left out.
    package var omitDefaultRegions: Bool

    /// A map of `regions`.
    package init(
        regions: [DERPRegionID: DERPRegion] = [:],
        homeParameters: DERPHomeParameters? = nil,
        omitDefaultRegions: Bool = false
    ) {
        self.regions = regions
        self.homeParameters = homeParameters
        self.omitDefaultRegions = omitDefaultRegions
    }

    /// Takes in a delta: null regions, home parameters or scores keep what was there, a null region is dropped.
    package mutating func merge(_ update: DERPMapUpdate) {
        if let regions = update.regions {
            self.regions = regions.compactMapValues { $0 }
            omitDefaultRegions = update.omitDefaultRegions
        }
        if let parameters = update.homeParameters {
            homeParameters = DERPHomeParameters(regionScore: parameters.regionScore ?? homeParameters?.regionScore)
        }
    }
}

/// `MapResponse.DERPMap` as it travels: a whole map or a delta.
package struct DERPMapUpdate: Hashable, Sendable {
    /// nil: unchanged.
    package var homeParameters: DERPHomeParameters?
    /// nil: unchanged; a nil region is to be dropped.
    package var regions: [DERPRegionID: DERPRegion?]?
    /// Only meaningful together with regions.
    package var omitDefaultRegions = false

    /// An update of nothing.
    package init() {}

    /// The update that replaces everything by `map`.
    package init(_ map: DERPMap) {
        homeParameters = map.homeParameters
        regions = map.regions.mapValues { $0 }
        omitDefaultRegions = map.omitDefaultRegions
    }
}

extension DERPMapUpdate: Codable {
    private enum CodingKeys: String, CodingKey {
        case homeParameters = "HomeParams"
        case regions = "Regions"
        case omitDefaultRegions
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        homeParameters = try members.decodeIfPresent(DERPHomeParameters.self, forKey: .homeParameters)
        regions = try members.decodeIfPresent([DERPRegionID: DERPRegion?].self, forKey: .regions)
        omitDefaultRegions = try members.flag(.omitDefaultRegions)
    }

    /// Writes the object; `Regions` is null when nothing about regions is said.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encodeIfPresent(homeParameters, forKey: .homeParameters)
        try members.encode(regions, forKey: .regions)
        try members.encode(ifTrue: omitDefaultRegions, forKey: .omitDefaultRegions)
    }
}

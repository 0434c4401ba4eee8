/// An inclusive range of ports.
package struct PortRange: Hashable, Sendable, Codable {
    /// The first port.
    package var first: UInt16
    /// The last port.
    package var last: UInt16

    /// The range `first…last`.
    package init(first: UInt16, last: UInt16) {
        self.first = first
        self.last = last
    }

    /// 0…65535.
    package static let every = PortRange(first: 0, last: .max)

    private enum CodingKeys: String, CodingKey {
        case first = "First"
        case last = "Last"
    }
}

/// A destination of a rule.
package struct FilterDestination: Hashable, Sendable {
    /// An IP, a CIDR, a range `a-b` or `*`.
    package var ip: String
    /// Deprecated: a non-null value makes the whole rule set invalid.
    package var bits: Int?
    /// The ports.
    package var ports: PortRange

    /// Names a destination.
    package init(ip: String, ports: PortRange = .every) {
        self.ip = ip
        self.ports = ports
    }
}

extension FilterDestination: Codable {
    private enum CodingKeys: String, CodingKey {
        case ip = "IP"
        case bits = "Bits"
        case ports = "Ports"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        ip = try members.text(.ip)
        bits = try members.decodeIfPresent(Int.self, forKey: .bits)
        ports = try members.value(.ports, or: PortRange(first: 0, last: 0))
    }

    /// Writes the object.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(ip, forKey: .ip)
        try members.encodeIfPresent(bits, forKey: .bits)
        try members.encode(ports, forKey: .ports)
    }
}

/// Application capabilities that sources hold towards destinations; grants no network access.
package struct CapabilityGrant: Hashable, Sendable {
    /// Destination prefixes as text.
    package var destinations: [String]
    /// Old form: names without arguments.
    package var capabilities: [String] = []
    /// Capabilities with arguments.
    package var capabilityMap: CapabilityMap = [:]

    /// Grants `capabilityMap` towards `destinations`.
    package init(destinations: [String], capabilityMap: CapabilityMap) {
        self.destinations = destinations
        self.capabilityMap = capabilityMap
    }
}

extension CapabilityGrant: Codable {
    private enum CodingKeys: String, CodingKey {
        case destinations = "Dsts"
        case capabilities = "Caps"
        case capabilityMap = "CapMap"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        destinations = try members.list(.destinations)
        capabilities = try members.list(.capabilities)
        capabilityMap = try members.value(.capabilityMap, or: [:])
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(unlessEmpty: destinations, forKey: .destinations)
        try members.encode(unlessEmpty: capabilities, forKey: .capabilities)
        try members.encode(unlessEmpty: capabilityMap, forKey: .capabilityMap)
    }
}

/// One rule of the packet filter; its entries stay text, because one that does not parse only loses itself.
package struct FilterRule: Hashable, Sendable {
    /// An IP, a CIDR, a range `a-b`, `*` or `cap:<name>` each.
    package var sourceIPs: [String]
    /// Deprecated: a non-null value makes the whole rule set invalid.
    package var sourceBits: [Int]?
    /// Where the sources may go; empty for a rule that only grants capabilities.
    package var destinations: [FilterDestination]
    /// IP protocol numbers; empty means TCP, UDP, ICMP and ICMPv6.
    package var ipProtocols: [Int]
    /// Application capabilities.
    package var capabilityGrants: [CapabilityGrant]

    /// Makes a rule.
    package init(
        sourceIPs: [String],
        destinations: [FilterDestination] = [],
        ipProtocols: [Int] = [],
        capabilityGrants: [CapabilityGrant] = []
    ) {
        self.sourceIPs = sourceIPs
        self.destinations = destinations
        self.ipProtocols = ipProtocols
        self.capabilityGrants = capabilityGrants
    }
}

extension FilterRule: Codable {
    private enum CodingKeys: String, CodingKey {
        case sourceIPs = "SrcIPs"
        case sourceBits = "SrcBits"
        case destinations = "DstPorts"
        case ipProtocols = "IPProto"
        case capabilityGrants = "CapGrant"
    }

    /// Reads the object.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        sourceIPs = try members.list(.sourceIPs)
        sourceBits = try members.decodeIfPresent([Int].self, forKey: .sourceBits)
        destinations = try members.list(.destinations)
        ipProtocols = try members.list(.ipProtocols)
        capabilityGrants = try members.list(.capabilityGrants)
    }

    /// Writes the object without its zero members.
    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(unlessEmpty: sourceIPs, forKey: .sourceIPs)
        try members.encodeIfPresent(sourceBits, forKey: .sourceBits)
        try members.encode(unlessEmpty: destinations, forKey: .destinations)
        try members.encode(unlessEmpty: ipProtocols, forKey: .ipProtocols)
        try members.encode(unlessEmpty: capabilityGrants, forKey: .capabilityGrants)
    }
}

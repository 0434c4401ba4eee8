package import NetTypes

/// What a Neighbor Discovery message says beyond its fixed fields (RFC 4861 §4.6).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 1 | type |
/// | 1 | 1 | length of the whole option in units of 8 octets, never 0 |
/// | 2 | … | value, padded with zeros |
package enum NeighborDiscoveryOption: Equatable, Sendable {
    /// Type 1: the sender's hardware address.
    case sourceLinkLayerAddress(MACAddress)
    /// Type 2: the hardware address of the target.
    case targetLinkLayerAddress(MACAddress)
    /// Type 3: a prefix of the link.
    case prefixInformation(PrefixInformation)
    /// Type 5: the link's largest packet.
    case mtu(UInt32)
    /// Type 24: a route beside the default one (RFC 4191).
    case routeInformation(RouteInformation)
    /// Type 25: resolvers, for so many seconds (RFC 8106 §5.1).
    case nameServers([IPv6Address], lifetimeSeconds: UInt32)
    /// Type 31: where short names are looked for, for so many seconds (RFC 8106 §5.2).
    case searchDomains([DNSName], lifetimeSeconds: UInt32)
    /// Any other type, with its value and padding: 8 octets for every unit of its length, less two.
    case unknown(type: UInt8, value: [UInt8])

    /// A prefix of the link and what hosts may do with it (RFC 4861 §4.6.2).
    package struct PrefixInformation: Equatable, Sendable {
        /// The prefix.
        package var prefix: IPPrefix
        /// Whether its addresses are reached without a router.
        package var isOnLink: Bool
        /// Whether hosts may make addresses of it by themselves.
        package var isAutonomous: Bool
        /// How long it is on the link; all ones is for ever.
        package var validSeconds: UInt32
        /// How long addresses made of it are preferred.
        package var preferredSeconds: UInt32

        /// A prefix with these properties.
        package init(
            prefix: IPPrefix,
            isOnLink: Bool,
            isAutonomous: Bool,
            validSeconds: UInt32,
            preferredSeconds: UInt32
        ) {
            self.prefix = prefix
            self.isOnLink = isOnLink
            self.isAutonomous = isAutonomous
            self.validSeconds = validSeconds
            self.preferredSeconds = preferredSeconds
        }
    }

    /// A route through the router that says so (RFC 4191 §2.3).
    package struct RouteInformation: Equatable, Sendable {
        /// Where it leads.
        package var prefix: IPPrefix
        /// How it compares with other routers' routes.
        package var preference: RouterPreference
        /// How long it holds; 0 withdraws it.
        package var lifetimeSeconds: UInt32

        /// A route.
        package init(prefix: IPPrefix, preference: RouterPreference = .medium, lifetimeSeconds: UInt32) {
            self.prefix = prefix
            self.preference = preference
            self.lifetimeSeconds = lifetimeSeconds
        }
    }

    /// Reads options up to the end of `bytes`.
    ///
    /// - Throws: `.badLength` for a length of 0 or one that the type cannot have, `.truncated`, `.malformed`.
    static func list(parsing bytes: Span<UInt8>) throws(WireError) -> [Self] {
        var options: [Self] = []
        var cursor = 0
        while cursor < bytes.count {
            guard cursor + 2 <= bytes.count else { throw .truncated }
            let byteCount = Int(bytes[cursor + 1]) * 8
            guard byteCount > 0 else { throw .badLength }
            guard cursor + byteCount <= bytes.count else { throw .truncated }
            options.append(try Self(parsing: bytes.extracting(cursor..<(cursor + byteCount))))
            cursor += byteCount
        }
        return options
    }

    /// Reads the one option that fills `bytes`.
    private init(parsing bytes: Span<UInt8>) throws(WireError) {
        switch bytes[0] {
        case 1, 2:
            guard bytes.count == 8 else { throw .badLength }
            let address = MACAddress(bytes, at: 2)
            self = bytes[0] == 1 ? .sourceLinkLayerAddress(address) : .targetLinkLayerAddress(address)
        case 3:
            guard bytes.count == 32 else { throw .badLength }
            guard let prefix = IPPrefix(.v6(IPv6Address(bytes, at: 16)), length: Int(bytes[2])) else {
                throw .malformed
            }
            self = .prefixInformation(
                PrefixInformation(
                    prefix: prefix,
                    isOnLink: bytes[3] & 0x80 != 0,
                    isAutonomous: bytes[3] & 0x40 != 0,
                    validSeconds: bytes.bigEndian(at: 4),
                    preferredSeconds: bytes.bigEndian(at: 8)
                )
            )
        case 5:
            guard bytes.count == 8 else { throw .badLength }
            self = .mtu(bytes.bigEndian(at: 4))
        case 24: self = .routeInformation(try RouteInformation(parsing: bytes))
        case 25:
            guard bytes.count >= 24, (bytes.count - 8).isMultiple(of: 16) else { throw .badLength }
            self = .nameServers(
                stride(from: 8, to: bytes.count, by: 16).map { IPv6Address(bytes, at: $0) },
                lifetimeSeconds: bytes.bigEndian(at: 4)
            )
        case 31:
            guard bytes.count >= 16 else { throw .badLength }
            self = .searchDomains(
                try DomainNameList.parse(bytes.extracting(8..<bytes.count), allowsPointers: false),
                lifetimeSeconds: bytes.bigEndian(at: 4)
            )
        case let type: self = .unknown(type: type, value: bytes.extracting(2..<bytes.count).array)
        }
    }

    /// Appends the option, padded to whole units.
    func append(to bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.append(contentsOf: [type, 0])
        switch self {
        case .sourceLinkLayerAddress(let address), .targetLinkLayerAddress(let address):
            bytes.append(bigEndian: UInt16(truncatingIfNeeded: address.rawValue >> 32))
            bytes.append(bigEndian: UInt32(truncatingIfNeeded: address.rawValue))
        case .prefixInformation(let information):
            bytes.append(UInt8(information.prefix.length))
            bytes.append((information.isOnLink ? 0x80 : 0) | (information.isAutonomous ? 0x40 : 0))
            bytes.append(bigEndian: information.validSeconds)
            bytes.append(bigEndian: information.preferredSeconds)
            bytes.append(bigEndian: UInt32(0))
            bytes.append(information.prefix.address)
        case .mtu(let mtu):
            bytes.append(contentsOf: [0, 0])
            bytes.append(bigEndian: mtu)
        case .routeInformation(let route):
            let length = route.prefix.length
            bytes.append(UInt8(length))
            bytes.append(route.preference.bits)
            bytes.append(bigEndian: route.lifetimeSeconds)
            var prefix: [UInt8] = []
            prefix.append(route.prefix.address)
            bytes.append(contentsOf: prefix.prefix(length > 64 ? 16 : length > 0 ? 8 : 0))
        case .nameServers(let servers, let lifetimeSeconds):
            bytes.append(contentsOf: [0, 0])
            bytes.append(bigEndian: lifetimeSeconds)
            for server in servers { bytes.append(.v6(server)) }
        case .searchDomains(let names, let lifetimeSeconds):
            bytes.append(contentsOf: [0, 0])
            bytes.append(bigEndian: lifetimeSeconds)
            bytes.append(contentsOf: DomainNameList.uncompressed(names))
        case .unknown(_, let value): bytes.append(contentsOf: value)
        }
        while !(bytes.count - start).isMultiple(of: 8) { bytes.append(0) }
        bytes[start + 1] = UInt8(truncatingIfNeeded: (bytes.count - start) / 8)
    }

    private var type: UInt8 {
        switch self {
        case .sourceLinkLayerAddress: 1
        case .targetLinkLayerAddress: 2
        case .prefixInformation: 3
        case .mtu: 5
        case .routeInformation: 24
        case .nameServers: 25
        case .searchDomains: 31
        case .unknown(let type, _): type
        }
    }
}

extension NeighborDiscoveryOption.RouteInformation {
    // The prefix has no more octets than its length needs, in steps of eight.
    fileprivate init(parsing bytes: Span<UInt8>) throws(WireError) {
        let length = Int(bytes[2])
        guard bytes.count <= 24, bytes.count >= (length > 64 ? 24 : length > 0 ? 16 : 8) else { throw .badLength }
        let high: UInt64 = bytes.count >= 16 ? bytes.bigEndian(at: 8) : 0
        let low: UInt64 = bytes.count >= 24 ? bytes.bigEndian(at: 16) : 0
        guard let prefix = IPPrefix(.v6(IPv6Address(high: high, low: low)), length: length) else { throw .malformed }
        self.init(
            prefix: prefix,
            preference: RouterPreference(bits: bytes[3]),
            lifetimeSeconds: bytes.bigEndian(at: 4)
        )
    }
}

extension [UInt8] {
    /// Appends an IPv6 address; an IPv4 one in its mapped form.
    fileprivate mutating func append(_ address: IPAddress) {
        let address: IPv6Address =
            switch address {
            case .v6(let address): address
            case .v4(let address): IPv6Address(mapping: address)
            }
        append(bigEndian: address.high)
        append(bigEndian: address.low)
    }
}

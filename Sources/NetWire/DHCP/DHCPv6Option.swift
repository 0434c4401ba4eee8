package import NetTypes

/// What a DHCPv6 message says (RFC 8415 §21).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 2 | code |
/// | 2 | 2 | length of the value |
/// | 4 | … | value |
package enum DHCPv6Option: Equatable, Sendable {
    /// 1: the client's DUID, 3 to 130 octets.
    case clientIdentifier([UInt8])
    /// 2: the server's DUID, 3 to 130 octets.
    case serverIdentifier([UInt8])
    /// 3: addresses for an interface.
    case nonTemporaryAddresses(DHCPv6Association)
    /// 5: one address; within `nonTemporaryAddresses`.
    case address(DHCPv6Address)
    /// 6: the codes of options that the client wants.
    case optionRequest([UInt16])
    /// 7: how much the server wants to be chosen; with 255 the client stops looking for others.
    case preference(UInt8)
    /// 8: hundredths of a second since the client began.
    case elapsedTime(UInt16)
    /// 13: how it went, with text for people.
    case statusCode(DHCPv6Status, message: String)
    /// 14: two messages instead of four.
    case rapidCommit
    /// 23: resolvers, the best first (RFC 3646).
    case nameServers([IPv6Address])
    /// 24: where short names are looked for (RFC 3646).
    case domainSearch([DNSName])
    /// 25: prefixes to delegate.
    case delegatedPrefixes(DHCPv6Association)
    /// 39: the client's name (RFC 4704).
    case clientFQDN(DHCPv6ClientName)
    /// Any other code.
    case unknown(code: UInt16, value: [UInt8])

    // An association holds addresses, an address a status; deeper nesting is nonsense.
    private static let maximumDepth = 2

    /// Reads options up to the end of `bytes`.
    ///
    /// - Throws: `.truncated`, `.badLength` for a length that the code cannot have, `.malformed`.
    static func list(parsing bytes: Span<UInt8>, depth: Int = 0) throws(WireError) -> [Self] {
        guard depth <= maximumDepth else { throw .malformed }
        var options: [Self] = []
        var cursor = 0
        while cursor < bytes.count {
            guard cursor + 4 <= bytes.count else { throw .truncated }
            let end = cursor + 4 + Int(bytes.bigEndian(at: cursor + 2, as: UInt16.self))
            guard end <= bytes.count else { throw .truncated }
            options.append(
                try Self(
                    code: bytes.bigEndian(at: cursor),
                    value: bytes.extracting((cursor + 4)..<end),
                    depth: depth
                )
            )
            cursor = end
        }
        return options
    }

    private init(code: UInt16, value: Span<UInt8>, depth: Int) throws(WireError) {
        switch code {
        case 1, 2:
            // A type of two octets and at most 128 (RFC 8415 §11.1).
            guard (3...130).contains(value.count) else { throw .badLength }
            self = code == 1 ? .clientIdentifier(value.array) : .serverIdentifier(value.array)
        case 3: self = .nonTemporaryAddresses(try DHCPv6Association(parsing: value, depth: depth))
        case 5: self = .address(try DHCPv6Address(parsing: value, depth: depth))
        case 6:
            guard value.count.isMultiple(of: 2) else { throw .badLength }
            self = .optionRequest(stride(from: 0, to: value.count, by: 2).map { value.bigEndian(at: $0) })
        case 7:
            guard value.count == 1 else { throw .badLength }
            self = .preference(value[0])
        case 8:
            guard value.count == 2 else { throw .badLength }
            self = .elapsedTime(value.bigEndian(at: 0))
        case 13:
            guard value.count >= 2 else { throw .badLength }
            self = .statusCode(
                DHCPv6Status(rawValue: value.bigEndian(at: 0)),
                message: String(decoding: value.extracting(2..<value.count).array, as: UTF8.self)
            )
        case 14:
            guard value.count == 0 else { throw .badLength }
            self = .rapidCommit
        case 23:
            guard value.count.isMultiple(of: 16) else { throw .badLength }
            self = .nameServers(stride(from: 0, to: value.count, by: 16).map { IPv6Address(value, at: $0) })
        case 24: self = .domainSearch(try DomainNameList.parse(value, allowsPointers: false))
        case 25: self = .delegatedPrefixes(try DHCPv6Association(parsing: value, depth: depth))
        case 39: self = .clientFQDN(try DHCPv6ClientName(parsing: value))
        default: self = .unknown(code: code, value: value.array)
        }
    }

    /// Appends the option.
    func append(to bytes: inout [UInt8]) {
        bytes.append(bigEndian: code)
        let start = bytes.count
        bytes.append(contentsOf: [0, 0])
        switch self {
        case .clientIdentifier(let value), .serverIdentifier(let value), .unknown(_, let value):
            bytes.append(contentsOf: value)
        case .nonTemporaryAddresses(let association), .delegatedPrefixes(let association):
            association.append(to: &bytes)
        case .address(let address): address.append(to: &bytes)
        case .optionRequest(let codes): for code in codes { bytes.append(bigEndian: code) }
        case .preference(let value): bytes.append(value)
        case .elapsedTime(let value): bytes.append(bigEndian: value)
        case .statusCode(let status, let message):
            bytes.append(bigEndian: status.rawValue)
            bytes.append(contentsOf: message.utf8)
        case .rapidCommit: break
        case .nameServers(let servers):
            for server in servers {
                bytes.append(bigEndian: server.high)
                bytes.append(bigEndian: server.low)
            }
        case .domainSearch(let names): bytes.append(contentsOf: DomainNameList.uncompressed(names))
        case .clientFQDN(let name): name.append(to: &bytes)
        }
        let count = UInt16(truncatingIfNeeded: bytes.count - start - 2)
        bytes[start] = UInt8(truncatingIfNeeded: count >> 8)
        bytes[start + 1] = UInt8(truncatingIfNeeded: count)
    }

    /// The number on the wire.
    package var code: UInt16 {
        switch self {
        case .clientIdentifier: 1
        case .serverIdentifier: 2
        case .nonTemporaryAddresses: 3
        case .address: 5
        case .optionRequest: 6
        case .preference: 7
        case .elapsedTime: 8
        case .statusCode: 13
        case .rapidCommit: 14
        case .nameServers: 23
        case .domainSearch: 24
        case .delegatedPrefixes: 25
        case .clientFQDN: 39
        case .unknown(let code, _): code
        }
    }
}

/// How a DHCPv6 request went (RFC 8415 §21.13); unknown numbers survive.
package struct DHCPv6Status: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    package let rawValue: UInt16

    /// Takes any number.
    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// It went well.
    package static let success = DHCPv6Status(rawValue: 0)
    /// There is no address.
    package static let noAddresses = DHCPv6Status(rawValue: 2)
    /// The association is not known.
    package static let noBinding = DHCPv6Status(rawValue: 3)
    /// The addresses do not belong to the link.
    package static let notOnLink = DHCPv6Status(rawValue: 4)
    /// The message should have come by multicast.
    package static let useMulticast = DHCPv6Status(rawValue: 5)
    /// There is no prefix to delegate.
    package static let noPrefixes = DHCPv6Status(rawValue: 6)
}

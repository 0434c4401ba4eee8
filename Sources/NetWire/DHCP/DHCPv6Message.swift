package import NetTypes

/// A DHCPv6 message between a client and a server (RFC 8415 §8).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 1 | type |
/// | 1 | 3 | transaction identifier |
/// | 4 | … | options |
package struct DHCPv6Message: Equatable, Sendable {
    /// What the message is for; unknown numbers survive.
    package struct Kind: RawRepresentable, Hashable, Sendable {
        /// The number on the wire.
        package let rawValue: UInt8

        /// Takes any number.
        package init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// A client looks for servers.
        package static let solicit = Kind(rawValue: 1)
        /// A server has something.
        package static let advertise = Kind(rawValue: 2)
        /// A client takes it.
        package static let request = Kind(rawValue: 3)
        /// A client asks whether its addresses still belong to the link.
        package static let confirm = Kind(rawValue: 4)
        /// A client prolongs with its server.
        package static let renew = Kind(rawValue: 5)
        /// A client prolongs with any server.
        package static let rebind = Kind(rawValue: 6)
        /// The answer to all but `solicit`, and to that when it was rapid.
        package static let reply = Kind(rawValue: 7)
        /// A client gives its addresses back.
        package static let release = Kind(rawValue: 8)
        /// A client found an address in use.
        package static let decline = Kind(rawValue: 9)
        /// A server wants clients to ask again.
        package static let reconfigure = Kind(rawValue: 10)
        /// A client wants settings but no address.
        package static let informationRequest = Kind(rawValue: 11)

        /// Whether relays wrap others' messages in it, which look different.
        var isRelayed: Bool { rawValue == 12 || rawValue == 13 }
    }

    /// Servers listen here.
    package static let serverPort: UInt16 = 547
    /// Clients listen here.
    package static let clientPort: UInt16 = 546
    /// `ff02::1:2`, where clients find servers and relays.
    package static let allServers = IPv6Address(high: 0xFF02_0000_0000_0000, low: 0x1_0002)

    /// What the message is for.
    package var kind: Kind
    /// Joins an answer to its question; the low 24 bits count.
    package var transactionID: UInt32
    /// The options in their order.
    package var options: [DHCPv6Option]

    /// A message of these fields.
    package init(_ kind: Kind, transactionID: UInt32, options: [DHCPv6Option] = []) {
        self.kind = kind
        self.transactionID = transactionID & 0xFF_FFFF
        self.options = options
    }

    /// Reads the message that fills a UDP payload.
    ///
    /// - Throws: `.truncated`, `.badLength`, `.malformed`; `.unsupported` for a relay's message.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= 4 else { throw .truncated }
        kind = Kind(rawValue: bytes[0])
        guard !kind.isRelayed else { throw .unsupported }
        transactionID = bytes.bigEndian(at: 0, as: UInt32.self) & 0xFF_FFFF
        options = try DHCPv6Option.list(parsing: bytes.extracting(4..<bytes.count))
    }

    /// The message as octets.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: UInt32(kind.rawValue) << 24 | transactionID & 0xFF_FFFF)
        for option in options { option.append(to: &bytes) }
        return bytes
    }

    /// Who the client is.
    package var clientIdentifier: [UInt8]? {
        for case .clientIdentifier(let identifier) in options { return identifier }
        return nil
    }

    /// Which server is meant or speaks.
    package var serverIdentifier: [UInt8]? {
        for case .serverIdentifier(let identifier) in options { return identifier }
        return nil
    }

    /// What the client wants to be told.
    package var requestedOptions: [UInt16] {
        for case .optionRequest(let codes) in options { return codes }
        return []
    }
}

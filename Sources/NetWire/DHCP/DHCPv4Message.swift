package import NetTypes

/// A DHCP message over Ethernet (RFC 2131 §2).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 1 | operation: 1 from a client, 2 from a server |
/// | 1 | 1 | hardware type, 1 |
/// | 2 | 1 | hardware address length, 6 |
/// | 3 | 1 | hops |
/// | 4 | 4 | transaction identifier |
/// | 8 | 2 | seconds since the client began |
/// | 10 | 2 | flags: the top bit asks for broadcast answers |
/// | 12 | 4 | ciaddr, the client's address when it can be reached there |
/// | 16 | 4 | yiaddr, the address given |
/// | 20 | 4 | siaddr, the next server |
/// | 24 | 4 | giaddr, the relay |
/// | 28 | 16 | chaddr, the client's hardware address |
/// | 44 | 64 | server name |
/// | 108 | 128 | boot file |
/// | 236 | 4 | cookie `63825363` |
/// | 240 | … | options |
package struct DHCPv4Message: Equatable, Sendable {
    /// Servers listen here.
    package static let serverPort: UInt16 = 67
    /// Clients listen here.
    package static let clientPort: UInt16 = 68
    /// Before the options: 240 octets.
    package static let headerByteCount = 240
    /// Old clients want at least a BOOTP message (RFC 1542 §2.1).
    package static let minimumByteCount = 300

    private static let cookie: UInt32 = 0x6382_5363

    /// Whether a server sent it (operation 2) or a client (operation 1).
    package var isFromServer: Bool
    /// Joins an answer to its question.
    package var transactionID: UInt32
    /// Seconds since the client began.
    package var secondsElapsed: UInt16
    /// Whether answers must be broadcast, because the client cannot take unicasts yet.
    package var wantsBroadcast: Bool
    /// ciaddr: the client's address, if it is configured.
    package var clientAddress: IPv4Address
    /// yiaddr: the address given.
    package var yourAddress: IPv4Address
    /// siaddr: the next server.
    package var nextServer: IPv4Address
    /// giaddr: the relay between.
    package var relayAddress: IPv4Address
    /// The client's hardware address.
    package var clientHardwareAddress: MACAddress
    /// All options, those of overloaded text fields included.
    package var options: DHCPv4Options

    /// A message without options.
    package init(isFromServer: Bool, transactionID: UInt32, clientHardwareAddress: MACAddress) {
        self.isFromServer = isFromServer
        self.transactionID = transactionID
        self.clientHardwareAddress = clientHardwareAddress
        secondsElapsed = 0
        wantsBroadcast = false
        clientAddress = .unspecified
        yourAddress = .unspecified
        nextServer = .unspecified
        relayAddress = .unspecified
        options = DHCPv4Options()
    }

    /// Reads the message that fills a UDP payload.
    ///
    /// - Throws: `.truncated`, `.badMagic` for another operation or cookie, `.unsupported` for other hardware than
    ///   Ethernet.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.headerByteCount else { throw .truncated }
        guard bytes[0] == 1 || bytes[0] == 2 else { throw .badMagic }
        guard bytes[1] == 1, bytes[2] == 6 else { throw .unsupported }
        guard bytes.bigEndian(at: 236, as: UInt32.self) == Self.cookie else { throw .badMagic }
        isFromServer = bytes[0] == 2
        transactionID = bytes.bigEndian(at: 4)
        secondsElapsed = bytes.bigEndian(at: 8)
        wantsBroadcast = bytes[10] & 0x80 != 0
        clientAddress = IPv4Address(bytes, at: 12)
        yourAddress = IPv4Address(bytes, at: 16)
        nextServer = IPv4Address(bytes, at: 20)
        relayAddress = IPv4Address(bytes, at: 24)
        clientHardwareAddress = MACAddress(bytes, at: 28)
        options = DHCPv4Options()
        try options.parse(bytes.extracting(Self.headerByteCount..<bytes.count))
        let overload = options.octet(.overload) ?? 0
        options[.overload] = nil
        if overload & 1 != 0 { try options.parse(bytes.extracting(108..<236)) }
        if overload & 2 != 0 { try options.parse(bytes.extracting(44..<108)) }
    }

    /// Appends the message, padded to `minimumByteCount`.
    package func append(to bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.append(contentsOf: [isFromServer ? 2 : 1, 1, 6, 0])
        bytes.append(bigEndian: transactionID)
        bytes.append(bigEndian: secondsElapsed)
        bytes.append(bigEndian: wantsBroadcast ? UInt16(0x8000) : 0)
        for address in [clientAddress, yourAddress, nextServer, relayAddress] {
            bytes.append(bigEndian: address.rawValue)
        }
        bytes.append(bigEndian: clientHardwareAddress.rawValue << 16)
        bytes.append(contentsOf: repeatElement(0, count: Self.headerByteCount - 4 - 36))
        bytes.append(bigEndian: Self.cookie)
        options.append(to: &bytes)
        let padding = Self.minimumByteCount - (bytes.count - start)
        if padding > 0 { bytes.append(contentsOf: repeatElement(0, count: padding)) }
    }

    /// The message as octets.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    /// What the message is for; nil for plain BOOTP.
    package var type: DHCPv4MessageType? {
        get { options.octet(.messageType).map(DHCPv4MessageType.init(rawValue:)) }
        set { options[.messageType] = newValue.map { [$0.rawValue] } }
    }

    /// The address that the client would like.
    package var requestedAddress: IPv4Address? { options.uint32(.requestedAddress).map(IPv4Address.init(rawValue:)) }

    /// Which server is meant or speaks.
    package var serverIdentifier: IPv4Address? { options.uint32(.serverIdentifier).map(IPv4Address.init(rawValue:)) }
}

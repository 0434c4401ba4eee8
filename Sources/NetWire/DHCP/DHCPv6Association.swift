package import NetTypes

/// What belongs to one interface of a client: its addresses or prefixes, as options (RFC 8415 §21.4, §21.21).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 4 | identifier, chosen by the client |
/// | 4 | 4 | T1: seconds until the client asks its server again, 0 = as it likes |
/// | 8 | 4 | T2: seconds until it asks any server |
/// | 12 | … | options |
package struct DHCPv6Association: Equatable, Sendable {
    /// Chosen by the client.
    package var identifier: UInt32
    /// When the client asks its server again.
    package var renewalSeconds: UInt32
    /// When it asks any server.
    package var rebindingSeconds: UInt32
    /// Addresses and status.
    package var options: [DHCPv6Option]

    /// An association of these fields.
    package init(
        identifier: UInt32,
        renewalSeconds: UInt32 = 0,
        rebindingSeconds: UInt32 = 0,
        options: [DHCPv6Option] = []
    ) {
        self.identifier = identifier
        self.renewalSeconds = renewalSeconds
        self.rebindingSeconds = rebindingSeconds
        self.options = options
    }

    init(parsing bytes: Span<UInt8>, depth: Int) throws(WireError) {
        guard bytes.count >= 12 else { throw .badLength }
        identifier = bytes.bigEndian(at: 0)
        renewalSeconds = bytes.bigEndian(at: 4)
        rebindingSeconds = bytes.bigEndian(at: 8)
        options = try DHCPv6Option.list(parsing: bytes.extracting(12..<bytes.count), depth: depth + 1)
    }

    func append(to bytes: inout [UInt8]) {
        bytes.append(bigEndian: identifier)
        bytes.append(bigEndian: renewalSeconds)
        bytes.append(bigEndian: rebindingSeconds)
        for option in options { option.append(to: &bytes) }
    }

    /// The addresses among the options.
    package var addresses: [DHCPv6Address] {
        options.compactMap { option in
            if case .address(let address) = option { address } else { nil }
        }
    }

    /// The status among the options; none means that it went well.
    package var status: DHCPv6Status {
        for case .statusCode(let status, _) in options { return status }
        return .success
    }
}

/// One address of an association (RFC 8415 §21.6).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 16 | the address |
/// | 16 | 4 | preferred lifetime in seconds |
/// | 20 | 4 | valid lifetime in seconds; 0 takes the address away |
/// | 24 | … | options |
package struct DHCPv6Address: Equatable, Sendable {
    /// The address.
    package var address: IPv6Address
    /// How long it is preferred.
    package var preferredSeconds: UInt32
    /// How long it is valid.
    package var validSeconds: UInt32
    /// A status, or what else there is to say.
    package var options: [DHCPv6Option]

    /// An address with its lifetimes.
    package init(
        address: IPv6Address,
        preferredSeconds: UInt32,
        validSeconds: UInt32,
        options: [DHCPv6Option] = []
    ) {
        self.address = address
        self.preferredSeconds = preferredSeconds
        self.validSeconds = validSeconds
        self.options = options
    }

    init(parsing bytes: Span<UInt8>, depth: Int) throws(WireError) {
        guard bytes.count >= 24 else { throw .badLength }
        address = IPv6Address(bytes, at: 0)
        preferredSeconds = bytes.bigEndian(at: 16)
        validSeconds = bytes.bigEndian(at: 20)
        options = try DHCPv6Option.list(parsing: bytes.extracting(24..<bytes.count), depth: depth + 1)
    }

    func append(to bytes: inout [UInt8]) {
        bytes.append(bigEndian: address.high)
        bytes.append(bigEndian: address.low)
        bytes.append(bigEndian: preferredSeconds)
        bytes.append(bigEndian: validSeconds)
        for option in options { option.append(to: &bytes) }
    }
}

/// The name of a client and who enters it into DNS (RFC 4704 §4).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 1 | flags: S (1), O (2), N (4) |
/// | 1 | … | the name; without its final zero when it is only the beginning of one |
package struct DHCPv6ClientName: Equatable, Sendable {
    /// N: the server makes no entries.
    package static let noUpdates: UInt8 = 4

    /// S, O and N.
    package var flags: UInt8
    /// The labels that are known; the root for none.
    package var name: DNSName
    /// Whether these are all labels.
    package var isComplete: Bool

    /// A name.
    package init(flags: UInt8, name: DNSName, isComplete: Bool = true) {
        self.flags = flags
        self.name = name
        self.isComplete = isComplete
    }

    init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= 1 else { throw .badLength }
        flags = bytes[0]
        var octets = bytes.extracting(1..<bytes.count).array
        isComplete = octets.last == 0
        if !isComplete { octets.append(0) }
        var cursor = 0
        name = try DNSName(parsing: octets.span, at: &cursor)
        guard cursor == octets.count, name.wire.count == octets.count else { throw .malformed }
    }

    func append(to bytes: inout [UInt8]) {
        bytes.append(flags)
        bytes.append(contentsOf: isComplete ? name.wire[...] : name.wire.dropLast())
    }
}

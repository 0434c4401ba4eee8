package import NetTypes
package import WarrenCrypto

/// What one disco packet says once its box is open (tailscale disco.go).
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 1 | type |
/// | 1 | 1 | version, 0 |
/// | 2 | n | body by type |
package enum DiscoMessage: Hashable, Sendable {
    /// Asks for a pong by the same way.
    case ping(DiscoPing)
    /// Answers a ping with the address that the ping was seen from.
    case pong(TransactionID, source: AddressPort)
    /// Asks the peer to ping these addresses at once; valid over DERP only.
    case callMeMaybe([AddressPort])
    /// A message of the UDP relay extension, recognised and kept but not used.
    case relay(DiscoRelayKind, body: [UInt8])

    /// The type and version octets before every body.
    package static let headerByteCount = 2
    private static let addressByteCount = 18

    /// Parses the opened payload of an envelope; octets after a body are tolerated.
    ///
    /// - Throws: `.truncated` for a body that is too short, `.unsupported` for an unknown type.
    package init(parsing payload: Span<UInt8>) throws(WireError) {
        guard payload.count >= Self.headerByteCount else { throw .truncated }
        let body = payload.extracting(droppingFirst: Self.headerByteCount)
        switch payload[0] {
        case 1: self = .ping(try DiscoPing(body: body))
        case 2:
            guard body.count >= TransactionID.byteCount + Self.addressByteCount else { throw .truncated }
            self = .pong(
                TransactionID(body, at: 0),
                source: Self.address(body, at: TransactionID.byteCount)
            )
        case 3: self = .callMeMaybe(payload[1] == 0 ? Self.addresses(body) : [])
        case let type:
            guard let kind = DiscoRelayKind(rawValue: type) else { throw .unsupported }
            guard body.count >= kind.minimumBodyByteCount else { throw .truncated }
            self = .relay(kind, body: body.array)
        }
    }

    /// How many octets `append(to:)` writes.
    package var byteCount: Int {
        switch self {
        case .ping(let ping): Self.headerByteCount + ping.bodyByteCount
        case .pong: Self.headerByteCount + TransactionID.byteCount + Self.addressByteCount
        case .callMeMaybe(let endpoints): Self.headerByteCount + endpoints.count * Self.addressByteCount
        case .relay(_, let body): Self.headerByteCount + body.count
        }
    }

    /// Appends the payload in the current version; traps when there is no room for `byteCount` octets.
    package func append(to output: inout OutputRawSpan) {
        output.append(typeOctet)
        output.append(0 as UInt8)
        switch self {
        case .ping(let ping):
            ping.append(to: &output)
        case .pong(let transaction, let source):
            transaction.append(to: &output)
            Self.append(source, to: &output)
        case .callMeMaybe(let endpoints):
            for endpoint in endpoints { Self.append(endpoint, to: &output) }
        case .relay(_, let body):
            output.append(contentsOf: body.span)
        }
    }

    private var typeOctet: UInt8 {
        switch self {
        case .ping: 1
        case .pong: 2
        case .callMeMaybe: 3
        case .relay(let kind, _): kind.rawValue
        }
    }

    private static func addresses(_ body: Span<UInt8>) -> [AddressPort] {
        guard body.count.isMultiple(of: addressByteCount) else { return [] }
        return stride(from: 0, to: body.count, by: addressByteCount).map { offset in address(body, at: offset) }
    }

    private static func address(_ bytes: Span<UInt8>, at offset: Int) -> AddressPort {
        AddressPort(IPAddress.v6(IPv6Address(bytes, at: offset)).unmapped, port: bytes.bigEndian(at: offset + 16))
    }

    private static func append(_ endpoint: AddressPort, to output: inout OutputRawSpan) {
        let address = endpoint.address.mapped
        output.append(bigEndian: address.high)
        output.append(bigEndian: address.low)
        output.append(bigEndian: endpoint.port)
    }
}

/// The body of a ping.
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 12 | transaction |
/// | 12 | 32 | sender's node key; old senders omit it |
/// | 44 | n | zeros, for path MTU probes only |
package struct DiscoPing: Hashable, Sendable {
    /// What the pong repeats.
    package var transaction: TransactionID
    /// Which node asks; nil when an old sender left it out.
    package var nodeKey: NodePublicKey?
    /// How many zeros follow.
    package var paddingByteCount: Int

    /// A ping as this node sends it.
    package init(transaction: TransactionID, nodeKey: NodePublicKey?, paddingByteCount: Int = 0) {
        self.transaction = transaction
        self.nodeKey = nodeKey
        self.paddingByteCount = paddingByteCount
    }

    /// Reads the fields.
    init(body: Span<UInt8>) throws(WireError) {
        guard body.count >= TransactionID.byteCount else { throw .truncated }
        transaction = TransactionID(body, at: 0)
        let hasKey = body.count >= TransactionID.byteCount + NodePublicKey.byteCount
        nodeKey = hasKey ? NodePublicKey(body, at: TransactionID.byteCount) : nil
        paddingByteCount = body.count - TransactionID.byteCount - (hasKey ? NodePublicKey.byteCount : 0)
    }

    /// How many octets `append` writes.
    var bodyByteCount: Int {
        TransactionID.byteCount + (nodeKey == nil ? 0 : NodePublicKey.byteCount) + paddingByteCount
    }

    /// Writes the fields.
    func append(to output: inout OutputRawSpan) {
        transaction.append(to: &output)
        nodeKey?.append(to: &output)
        for _ in 0..<paddingByteCount { output.append(0 as UInt8) }
    }
}

/// The messages of the UDP relay extension, which this node never asks for.
package enum DiscoRelayKind: UInt8, Sendable, CaseIterable {
    /// Binds a client to a relay.
    case bindEndpoint = 4
    /// The relay's challenge to a binding.
    case bindEndpointChallenge = 5
    /// The client's answer to the challenge.
    case bindEndpointAnswer = 6
    /// Names a relay through which the peer may be reached.
    case callMeMaybeVia = 7
    /// Asks a relay for an endpoint.
    case allocateEndpointRequest = 8
    /// Grants a relay endpoint.
    case allocateEndpointResponse = 9

    /// The least that may come.
    var minimumBodyByteCount: Int {
        // A relay endpoint: three disco keys, lamport clock, VNI, two lifetimes and at least one address.
        let relayEndpoint = 3 * 32 + 8 + 4 + 8 + 8 + 18
        return switch self {
        case .bindEndpoint, .bindEndpointChallenge, .bindEndpointAnswer: 4 + 4 + 32 + 32
        case .callMeMaybeVia: relayEndpoint
        case .allocateEndpointRequest: 2 * 32 + 4
        case .allocateEndpointResponse: 4 + relayEndpoint
        }
    }
}

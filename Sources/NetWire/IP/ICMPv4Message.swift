package import NetTypes

/// The fixed part of an ICMP message (RFC 792).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 1 | type |
/// | 1 | 1 | code |
/// | 2 | 2 | checksum over the whole message |
/// | 4 | 4 | rest of header: identifier and sequence number, or unused and next-hop MTU |
package struct ICMPv4Message: Equatable, Sendable {
    /// The kind of message; unknown numbers survive.
    package struct Kind: RawRepresentable, Hashable, Sendable {
        /// The number on the wire.
        package let rawValue: UInt8

        /// Takes any number.
        package init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// The answer to `echoRequest`.
        package static let echoReply = Kind(rawValue: 0)
        /// The packet could not be delivered; the code says why.
        package static let destinationUnreachable = Kind(rawValue: 3)
        /// Asks for an `echoReply` with the same payload.
        package static let echoRequest = Kind(rawValue: 8)
        /// The packet lived too long.
        package static let timeExceeded = Kind(rawValue: 11)
        /// A header field of the packet is wrong.
        package static let parameterProblem = Kind(rawValue: 12)
    }

    /// Codes of `destinationUnreachable` (RFC 792, RFC 1122 §3.2.2.1).
    package enum UnreachableCode {
        /// No route to the network.
        package static let network: UInt8 = 0
        /// The host does not answer.
        package static let host: UInt8 = 1
        /// Nobody speaks this protocol there.
        package static let ipProtocol: UInt8 = 2
        /// Nobody listens on the port.
        package static let port: UInt8 = 3
        /// Too big and DF set; the rest of the header ends in the next hop's MTU (RFC 1191).
        package static let fragmentationNeeded: UInt8 = 4
        /// A filter forbids it.
        package static let administrativelyProhibited: UInt8 = 13
    }

    /// 8 octets before the payload.
    package static let headerByteCount = 8
    /// An error carries the offending packet, so that the whole stays below 576 octets (RFC 1812 §4.3.2.3).
    package static let maximumQuotedByteCount = 548

    /// The kind of message.
    package var kind: Kind
    /// Refines `kind`.
    package var code: UInt8
    /// Identifier and sequence number, or what an error needs.
    package var restOfHeader: UInt32

    /// A message of these fields.
    package init(kind: Kind, code: UInt8 = 0, restOfHeader: UInt32 = 0) {
        self.kind = kind
        self.code = code
        self.restOfHeader = restOfHeader
    }

    /// "Too big" with the next hop's MTU.
    package static func fragmentationNeeded(mtu: Int) -> ICMPv4Message {
        ICMPv4Message(
            kind: .destinationUnreachable,
            code: UnreachableCode.fragmentationNeeded,
            restOfHeader: UInt32(UInt16(clamping: mtu))
        )
    }

    /// Reads the message that fills `bytes`; the payload begins at `headerByteCount`.
    ///
    /// - Throws: `.truncated`, `.badChecksum`.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.headerByteCount else { throw .truncated }
        guard InternetChecksum.of(bytes) == 0 else { throw .badChecksum }
        kind = Kind(rawValue: bytes[0])
        code = bytes[1]
        restOfHeader = bytes.bigEndian(at: 4)
    }

    /// Writes the header with its checksum, then `payload`: 8 octets and the payload's.
    package func store(into span: inout MutableRawSpan, at offset: Int, payload: Span<UInt8>) {
        var checksum = InternetChecksum()
        let first = UInt16(kind.rawValue) << 8 | UInt16(code)
        checksum.add(word: first)
        checksum.add(word: UInt16(truncatingIfNeeded: restOfHeader >> 16))
        checksum.add(word: UInt16(truncatingIfNeeded: restOfHeader))
        checksum.add(payload)
        span.store(bigEndian: first, at: offset)
        span.store(bigEndian: checksum.value, at: offset + 2)
        span.store(bigEndian: restOfHeader, at: offset + 4)
        span.store(payload, at: offset + Self.headerByteCount)
    }
}

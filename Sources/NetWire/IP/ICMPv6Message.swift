package import NetTypes

/// The fixed part of an ICMPv6 message (RFC 4443 §2.1).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 1 | type |
/// | 1 | 1 | code |
/// | 2 | 2 | checksum over the pseudo header and the whole message |
/// | 4 | 4 | rest of header: identifier and sequence number, MTU, or unused |
package struct ICMPv6Message: Equatable, Sendable {
    /// The kind of message; numbers below 128 are errors, unknown ones survive.
    package struct Kind: RawRepresentable, Hashable, Sendable {
        /// The number on the wire.
        package let rawValue: UInt8

        /// Takes any number.
        package init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// The packet could not be delivered; the code says why.
        package static let destinationUnreachable = Kind(rawValue: 1)
        /// The rest of the header is the next hop's MTU.
        package static let packetTooBig = Kind(rawValue: 2)
        /// The packet lived too long.
        package static let timeExceeded = Kind(rawValue: 3)
        /// A header field of the packet is wrong.
        package static let parameterProblem = Kind(rawValue: 4)
        /// Asks for an `echoReply` with the same payload.
        package static let echoRequest = Kind(rawValue: 128)
        /// The answer to `echoRequest`.
        package static let echoReply = Kind(rawValue: 129)
        /// A host looks for routers.
        package static let routerSolicitation = Kind(rawValue: 133)
        /// A router says what it has to offer.
        package static let routerAdvertisement = Kind(rawValue: 134)
        /// Asks who has an address.
        package static let neighborSolicitation = Kind(rawValue: 135)
        /// Says who has an address.
        package static let neighborAdvertisement = Kind(rawValue: 136)
    }

    /// Codes of `destinationUnreachable` (RFC 4443 §3.1).
    package enum UnreachableCode {
        /// No route.
        package static let noRoute: UInt8 = 0
        /// A filter forbids it.
        package static let administrativelyProhibited: UInt8 = 1
        /// The host does not answer.
        package static let address: UInt8 = 3
        /// Nobody listens on the port.
        package static let port: UInt8 = 4
    }

    /// 8 octets before the payload.
    package static let headerByteCount = 8
    /// An error carries the offending packet, so that the whole stays below 1280 octets (RFC 4443 §2.4).
    package static let maximumQuotedByteCount = 1232

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

    /// Reads the message that fills `bytes` and came under `header`; the payload begins at `headerByteCount`.
    ///
    /// - Throws: `.truncated`, `.badChecksum`.
    package init(parsing bytes: Span<UInt8>, in header: IPv6Header) throws(WireError) {
        guard bytes.count >= Self.headerByteCount else { throw .truncated }
        var checksum = header.pseudoHeader(of: .icmpv6, byteCount: bytes.count)
        checksum.add(bytes)
        guard checksum.value == 0 else { throw .badChecksum }
        kind = Kind(rawValue: bytes[0])
        code = bytes[1]
        restOfHeader = bytes.bigEndian(at: 4)
    }

    /// Writes the header with its checksum, then `payload`: 8 octets and the payload's.
    package func store(
        into span: inout MutableRawSpan,
        at offset: Int,
        payload: Span<UInt8>,
        in header: IPv6Header
    ) {
        var checksum = header.pseudoHeader(of: .icmpv6, byteCount: Self.headerByteCount + payload.count)
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

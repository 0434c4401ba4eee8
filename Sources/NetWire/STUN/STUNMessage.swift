package import NetTypes

/// A STUN binding request or response as Tailscale's clients and servers speak it (RFC 5389; tailscale net/stun).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 2 | type: `0001` request, `0101` success |
/// | 2 | 2 | length of the attributes |
/// | 4 | 4 | cookie `2112A442` |
/// | 8 | 12 | transaction identifier |
/// | 20 | … | attributes: type (2), length (2), value, padded to four octets |
///
/// A request carries SOFTWARE "tailnode" and, last, a FINGERPRINT; a response carries XOR-MAPPED-ADDRESS.
package enum STUNMessage: Equatable, Sendable {
    /// Asks from where the server sees the client.
    case bindingRequest(STUNTransactionID)
    /// Tells it.
    case bindingResponse(STUNTransactionID, AddressPort)

    /// The fixed header: 20 octets.
    package static let headerByteCount = 20

    private static let cookie: UInt32 = 0x2112_A442
    private static let requestType: UInt16 = 0x0001
    private static let responseType: UInt16 = 0x0101
    // "tailnode", which servers of the Tailscale family insist on.
    private static let software: UInt64 = 0x7461_696C_6E6F_6465
    private static let fingerprintByteCount = 8
    private static let fingerprintMask: UInt32 = 0x5354_554E

    private enum Attribute {
        static let mappedAddress: UInt16 = 0x0001
        static let xorMappedAddress: UInt16 = 0x0020
        static let xorMappedAddressAlias: UInt16 = 0x8020
        static let software: UInt16 = 0x8022
        static let fingerprint: UInt16 = 0x8028
    }

    /// Whether a datagram is to be given to the STUN handler, before anything else looks at it.
    package static func recognizes(_ bytes: Span<UInt8>) -> Bool {
        bytes.count >= headerByteCount && bytes[0] & 0xC0 == 0 && bytes[1] == 0x01
            && bytes.bigEndian(at: 4, as: UInt32.self) == cookie
    }

    /// The transaction that this belongs to.
    package var transactionID: STUNTransactionID {
        switch self {
        case .bindingRequest(let id), .bindingResponse(let id, _): id
        }
    }

    /// What `store` writes: 40 octets for a request, 32 or 44 for a response.
    package var byteCount: Int {
        switch self {
        case .bindingRequest: Self.headerByteCount + 12 + Self.fingerprintByteCount
        case .bindingResponse(_, let address): Self.headerByteCount + 8 + address.address.unmapped.bitWidth / 8
        }
    }

    /// Reads a request as a server does, or a response as a client does.
    ///
    /// - Throws: `.truncated`, `.badMagic` when it is not STUN, `.unsupported` for another type, `.malformed` for bad
    ///   attributes or a request without SOFTWARE and final FINGERPRINT, `.badChecksum` for a wrong FINGERPRINT.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.headerByteCount else { throw .truncated }
        guard bytes.bigEndian(at: 4, as: UInt32.self) == Self.cookie else { throw .badMagic }
        let id = STUNTransactionID(bytes, at: 8)
        switch bytes.bigEndian(at: 0, as: UInt16.self) {
        case Self.requestType:
            try Self.checkRequest(bytes)
            self = .bindingRequest(id)
        case Self.responseType:
            let end = Self.headerByteCount + Int(bytes.bigEndian(at: 2, as: UInt16.self))
            guard end <= bytes.count else { throw .malformed }
            self = .bindingResponse(id, try Self.address(bytes.extracting(0..<end), id))
        default: throw .unsupported
        }
    }

    /// Writes `byteCount` octets at `offset`.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        span.store(bigEndian: UInt16(byteCount - Self.headerByteCount), at: offset + 2)
        span.store(bigEndian: Self.cookie, at: offset + 4)
        transactionID.store(into: &span, at: offset + 8)
        switch self {
        case .bindingRequest(let id):
            let software = UInt32(Attribute.software) << 16 | 8
            span.store(bigEndian: Self.requestType, at: offset)
            span.store(bigEndian: software, at: offset + 20)
            span.store(bigEndian: Self.software, at: offset + 24)
            // The length in the header already counts the fingerprint when the checksum is taken.
            var checksum = CRC32()
            checksum.add(UInt32(Self.requestType) << 16 | UInt32(byteCount - Self.headerByteCount))
            checksum.add(Self.cookie)
            checksum.add(id.high)
            checksum.add(id.low)
            checksum.add(software)
            checksum.add(Self.software)
            span.store(bigEndian: Attribute.fingerprint, at: offset + 32)
            span.store(bigEndian: UInt16(4), at: offset + 34)
            span.store(bigEndian: checksum.value ^ Self.fingerprintMask, at: offset + 36)
        case .bindingResponse(let id, let mapped):
            span.store(bigEndian: Self.responseType, at: offset)
            span.store(bigEndian: Attribute.xorMappedAddress, at: offset + 20)
            span.store(bigEndian: UInt16(byteCount - 24), at: offset + 22)
            span.store(bigEndian: mapped.port ^ UInt16(Self.cookie >> 16), at: offset + 26)
            switch mapped.address.unmapped {
            case .v4(let address):
                span.store(bigEndian: UInt16(1), at: offset + 24)
                span.store(bigEndian: address.rawValue ^ Self.cookie, at: offset + 28)
            case .v6(let address):
                span.store(bigEndian: UInt16(2), at: offset + 24)
                Self.masked(address, id).store(into: &span, at: offset + 28)
            }
        }
    }

    /// The message as octets.
    package var bytes: [UInt8] {
        var result = [UInt8](repeating: 0, count: byteCount)
        var span = result.mutableSpan
        var raw = unsafe span.mutableBytes
        store(into: &raw, at: 0)
        return result
    }

    private static func checkRequest(_ bytes: Span<UInt8>) throws(WireError) {
        var sawSoftware = false
        var last: (type: UInt16, range: Range<Int>)?
        var cursor = headerByteCount
        while let attribute = try nextAttribute(bytes, &cursor) {
            if attribute.type == Attribute.software, attribute.range.count == 8,
                bytes.bigEndian(at: attribute.range.lowerBound, as: UInt64.self) == software
            {
                sawSoftware = true
            }
            last = attribute
        }
        guard sawSoftware, let last, last.type == Attribute.fingerprint, last.range.count == 4 else {
            throw .malformed
        }
        var checksum = CRC32()
        for index in 0..<(bytes.count - fingerprintByteCount) { checksum.add(octet: bytes[index]) }
        guard checksum.value ^ fingerprintMask == bytes.bigEndian(at: last.range.lowerBound) else {
            throw .badChecksum
        }
    }

    private static func address(_ bytes: Span<UInt8>, _ id: STUNTransactionID) throws(WireError) -> AddressPort {
        var found: AddressPort?
        var fallback: AddressPort?
        var cursor = headerByteCount
        while let attribute = try nextAttribute(bytes, &cursor) {
            switch attribute.type {
            case Attribute.xorMappedAddress, Attribute.xorMappedAddressAlias:
                found = try mappedAddress(bytes.extracting(attribute.range), unmasking: id)
            case Attribute.mappedAddress:
                fallback = try mappedAddress(bytes.extracting(attribute.range), unmasking: nil)
            default: continue
            }
        }
        guard let result = found ?? fallback else { throw .malformed }
        return result
    }

    private static func nextAttribute(
        _ bytes: Span<UInt8>,
        _ cursor: inout Int
    ) throws(WireError) -> (type: UInt16, range: Range<Int>)? {
        if cursor == bytes.count { return nil }
        guard bytes.count - cursor >= 4 else { throw .malformed }
        let type: UInt16 = bytes.bigEndian(at: cursor)
        let count = Int(bytes.bigEndian(at: cursor + 2, as: UInt16.self))
        let start = cursor + 4
        guard (count + 3) & ~3 <= bytes.count - start else { throw .malformed }
        cursor = start + (count + 3) & ~3
        return (type, start..<(start + count))
    }

    private static func mappedAddress(
        _ value: Span<UInt8>,
        unmasking id: STUNTransactionID?
    ) throws(WireError) -> AddressPort {
        guard value.count >= 4 else { throw .malformed }
        let port: UInt16 = value.bigEndian(at: 2) ^ (id == nil ? 0 : UInt16(cookie >> 16))
        switch (value[1], value.count) {
        case (1, 8...):
            let raw: UInt32 = value.bigEndian(at: 4) ^ (id == nil ? 0 : cookie)
            return AddressPort(.v4(IPv4Address(rawValue: raw)), port: port)
        case (2, 20...):
            let raw = IPv6Address(value, at: 4)
            return AddressPort(IPAddress.v6(id.map { masked(raw, $0) } ?? raw).unmapped, port: port)
        default: throw .malformed
        }
    }

    private static func masked(_ address: IPv6Address, _ id: STUNTransactionID) -> IPv6Address {
        IPv6Address(
            high: address.high ^ (UInt64(cookie) << 32 | id.high >> 32),
            low: address.low ^ (id.high << 32 | UInt64(id.low))
        )
    }
}

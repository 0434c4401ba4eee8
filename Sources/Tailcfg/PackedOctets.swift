import NetTypes
import WarrenCrypto

/// Writes the fields of packed nodes one behind the other; numbers take as many octets as they need.
struct PackedOctets: Sendable {
    private var buffer: [UInt8] = []

    /// What was written, in a buffer of exactly its size.
    var octets: [UInt8] { Array(buffer[...]) }

    /// Begins anew, in the same memory.
    mutating func removeAll() { buffer.removeAll(keepingCapacity: true) }

    /// Appends the lowest `count` octets.
    mutating func append(fixed value: UInt64, count: Int) {
        for place in 0..<count { buffer.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * place))) }
    }

    /// Appends a number that is usually small.
    mutating func append(number: Int64) {
        // Small negative numbers are small, too.
        append(varying: UInt64(bitPattern: number << 1 ^ number >> 63))
    }

    /// Appends a count or a place.
    mutating func append(count: Int) { append(varying: UInt64(count)) }

    private mutating func append(varying value: UInt64) {
        var rest = value
        while rest > 127 {
            buffer.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        buffer.append(UInt8(rest))
    }

    /// Appends a text behind its length.
    mutating func append(text: String) {
        append(count: text.utf8.count)
        buffer.append(contentsOf: text.utf8)
    }

    /// Appends a key.
    mutating func append(_ octets: Octets32) {
        for octet in octets.bytes { buffer.append(octet) }
    }

    /// Appends a point in time.
    mutating func append(_ time: ControlTime) {
        append(number: time.seconds)
        append(count: Int(UInt32(bitPattern: time.nanoseconds)))
    }

    /// Appends prefixes behind their number.
    mutating func append(_ prefixes: [IPPrefix]) {
        append(count: prefixes.count)
        for prefix in prefixes {
            append(prefix.address)
            append(fixed: UInt64(prefix.length), count: 1)
        }
    }

    /// Appends endpoints behind their number.
    mutating func append(_ endpoints: [AddressPort]) {
        append(count: endpoints.count)
        for endpoint in endpoints {
            append(endpoint.address)
            append(fixed: UInt64(endpoint.port), count: 2)
        }
    }

    private mutating func append(_ address: IPAddress) {
        switch address {
        case .v4(let address):
            buffer.append(4)
            append(fixed: UInt64(address.rawValue), count: 4)
        case .v6(let address):
            buffer.append(6)
            append(fixed: address.high, count: 8)
            append(fixed: address.low, count: 8)
        }
    }
}

/// Reads what `PackedOctets` wrote.
struct PackedReader {
    private let octets: [UInt8]
    private var place = 0

    /// A reader at the beginning.
    init(_ octets: [UInt8]) { self.octets = octets }

    /// The next `count` octets as a number.
    mutating func fixed(count: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(octets[place + index]) << UInt64(8 * index) }
        place += count
        return value
    }

    /// The next number.
    mutating func number() -> Int64 {
        let value = varying()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// The next count or place.
    mutating func count() -> Int { Int(truncatingIfNeeded: varying()) }

    private mutating func varying() -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while octets[place] > 127 {
            value |= UInt64(octets[place] & 127) << shift
            shift += 7
            place += 1
        }
        value |= UInt64(octets[place]) << shift
        place += 1
        return value
    }

    /// The next text.
    mutating func text() -> String {
        let count = count()
        defer { place += count }
        return String(decoding: octets[place..<place + count], as: UTF8.self)
    }

    /// The next key.
    mutating func octets32() -> Octets32 {
        defer { place += Octets32.byteCount }
        return Octets32(octets.span, at: place)
    }

    /// The next point in time.
    mutating func time() -> ControlTime {
        let seconds = number()
        return ControlTime(seconds: seconds, nanoseconds: Int32(bitPattern: UInt32(truncatingIfNeeded: count())))
    }

    /// The next prefixes.
    mutating func prefixes() -> [IPPrefix] {
        let count = count()
        var prefixes: [IPPrefix] = []
        prefixes.reserveCapacity(count)
        for _ in 0..<count {
            let address = address()
            if let prefix = IPPrefix(address, length: Int(fixed(count: 1))) { prefixes.append(prefix) }
        }
        return prefixes
    }

    /// The next endpoints.
    mutating func endpoints() -> [AddressPort] {
        let count = count()
        var endpoints: [AddressPort] = []
        endpoints.reserveCapacity(count)
        for _ in 0..<count {
            let address = address()
            endpoints.append(AddressPort(address, port: UInt16(truncatingIfNeeded: fixed(count: 2))))
        }
        return endpoints
    }

    private mutating func address() -> IPAddress {
        switch fixed(count: 1) {
        case 4: .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: fixed(count: 4))))
        default:
            .v6(IPv6Address(high: fixed(count: 8), low: fixed(count: 8)))
        }
    }
}

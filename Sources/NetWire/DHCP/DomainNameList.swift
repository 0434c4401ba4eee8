package import NetTypes

/// Domain names one behind the other, as search lists travel in DHCP and in router advertisements.
package enum DomainNameList {
    /// The names in full, as DHCPv6 and router advertisements want them (RFC 8415 §10, RFC 8106 §5.2).
    package static func uncompressed(_ names: [DNSName]) -> [UInt8] {
        names.flatMap(\.wire)
    }

    /// The names with pointers to what was said before, counted from the list's first octet (RFC 3397 §2).
    package static func compressed(_ names: [DNSName]) -> [UInt8] {
        var bytes: [UInt8] = []
        var known: [DNSName: Int] = [:]
        for name in names {
            var rest = name
            var pointer: Int?
            while !rest.isRoot, pointer == nil {
                if let offset = known[rest] {
                    pointer = offset
                } else {
                    // A pointer has 14 bits.
                    if bytes.count < 0x4000 { known[rest] = bytes.count }
                    bytes.append(contentsOf: rest.wire[...Int(rest.wire[0])])
                    rest = rest.parent ?? .root
                }
            }
            if let pointer {
                bytes.append(bigEndian: UInt16(0xC000 | pointer))
            } else {
                bytes.append(0)
            }
        }
        return bytes
    }

    /// Reads names up to the end of `bytes` or to padding, which looks like the root's name.
    ///
    /// - Throws: `.truncated`, `.malformed`; pointers are refused unless `allowsPointers`.
    package static func parse(_ bytes: Span<UInt8>, allowsPointers: Bool) throws(WireError) -> [DNSName] {
        var names: [DNSName] = []
        var cursor = 0
        while cursor < bytes.count, bytes[cursor] != 0 {
            let start = cursor
            let name = try DNSName(parsing: bytes, at: &cursor)
            // Read without a pointer, a name takes as many octets as it has.
            guard allowsPointers || cursor - start == name.wire.count else { throw .malformed }
            names.append(name)
        }
        return names
    }
}

package import NetTypes

/// A domain name in wire form: labels behind their lengths, ended by a zero octet (RFC 1035 §3.1).
///
/// Names compare without regard to the case of ASCII letters; the case that was read is kept.
package struct DNSName: Sendable {
    /// A name may have 255 octets on the wire.
    package static let maximumByteCount = 255
    /// A label may have 63 octets.
    package static let maximumLabelByteCount = 63

    /// The octets as read, never compressed.
    package let wire: [UInt8]
    // What equality and lookups go by.
    private let folded: [UInt8]

    /// `.`, the name of no labels.
    package static let root = DNSName(uncheckedWire: [0])

    private init(uncheckedWire wire: [UInt8]) {
        self.wire = wire
        // Length octets are at most 63, so folding cannot touch them. What needs none shares its memory.
        let isFolded = !wire.contains { (65...90).contains($0) }
        folded = isFolded ? wire : wire.map { (65...90).contains($0) ? $0 + 32 : $0 }
    }

    /// Takes dotted text with or without a final dot; nil when a label is empty or too long, or the name is.
    package init?(_ text: some StringProtocol) {
        var wire: [UInt8] = []
        let text = text.hasSuffix(".") ? text.dropLast() : text[...]
        if !text.isEmpty {
            for label in text.utf8.split(separator: 46, omittingEmptySubsequences: false) {
                guard (1...Self.maximumLabelByteCount).contains(label.count) else { return nil }
                wire.append(UInt8(label.count))
                wire.append(contentsOf: label)
            }
        }
        wire.append(0)
        guard wire.count <= Self.maximumByteCount else { return nil }
        self.init(uncheckedWire: wire)
    }

    /// Reads a name at `cursor` of a whole message and moves `cursor` behind it.
    ///
    /// Compression pointers must go backwards, each to before the last, so that no loop is possible.
    /// - Throws: `.truncated`, `.malformed`.
    package init(parsing message: Span<UInt8>, at cursor: inout Int) throws(WireError) {
        var wire: [UInt8] = []
        var position = cursor
        var limit = cursor
        var end: Int?
        while true {
            guard position < message.count else { throw .truncated }
            let length = Int(message[position])
            switch length >> 6 {
            case 0:
                guard position + length < message.count else { throw .truncated }
                guard wire.count + length + 1 <= Self.maximumByteCount else { throw .malformed }
                for index in position...(position + length) { wire.append(message[index]) }
                position += length + 1
                if length == 0 {
                    cursor = end ?? position
                    self.init(uncheckedWire: wire)
                    return
                }
                // A dot inside a label could not be told from two labels in text.
                guard !wire[(wire.count - length)...].contains(46) else { throw .malformed }
            case 3:
                guard position + 1 < message.count else { throw .truncated }
                let target = Int(message.bigEndian(at: position, as: UInt16.self) & 0x3FFF)
                guard target < limit else { throw .malformed }
                end = end ?? position + 2
                position = target
                limit = target
            default: throw .malformed
            }
        }
    }

    /// Whether there are no labels.
    package var isRoot: Bool { wire.count == 1 }

    /// Where each label begins in `wire`, the root's zero octet included.
    package var labelOffsets: [Int] {
        var offsets = [0]
        var offset = 0
        while wire[offset] != 0 {
            offset += Int(wire[offset]) + 1
            offsets.append(offset)
        }
        return offsets
    }

    /// The labels as text, lower case; octets that are not UTF-8 are replaced.
    package var labels: [String] {
        labelOffsets.dropLast().map { offset in
            String(decoding: folded[(offset + 1)...(offset + Int(folded[offset]))], as: UTF8.self)
        }
    }

    /// The name without its first label; nil for the root.
    package var parent: DNSName? {
        isRoot ? nil : DNSName(uncheckedWire: Array(wire[(Int(wire[0]) + 1)...]))
    }

    /// The name in lower case.
    package var lowercased: DNSName { DNSName(uncheckedWire: folded) }

    /// Whether this is `zone` or lies below it, on a label boundary.
    package func isWithin(_ zone: DNSName) -> Bool {
        let start = folded.count - zone.folded.count
        guard start >= 0, folded[start...].elementsEqual(zone.folded) else { return false }
        return labelOffsets.contains(start)
    }

    /// Where the labels of `zone` begin in this name's wire form, when it is within.
    package func offset(of zone: DNSName) -> Int? {
        isWithin(zone) ? wire.count - zone.wire.count : nil
    }
}

extension DNSName: Hashable {
    /// Equal but for the case of ASCII letters.
    package static func == (lhs: Self, rhs: Self) -> Bool { lhs.folded == rhs.folded }

    /// Agrees with `==`.
    package func hash(into hasher: inout Hasher) { hasher.combine(folded) }
}

extension DNSName: CustomStringConvertible {
    /// Dotted text in the case that was read, with a final dot.
    package var description: String {
        isRoot
            ? "."
            : labelOffsets.dropLast().map { offset in
                String(decoding: wire[(offset + 1)...(offset + Int(wire[offset]))], as: UTF8.self) + "."
            }.joined()
    }
}

/// An address with a prefix length, as in `100.64.0.0/10`; host bits are kept as given.
package struct IPPrefix: Hashable, Sendable {
    /// The address as written.
    package let address: IPAddress
    /// How many leading bits count: 0…32 or 0…128.
    package let length: Int

    /// Makes a prefix; nil when `length` does not fit the family.
    package init?(_ address: IPAddress, length: Int) {
        guard (0...address.bitWidth).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    /// The prefix of exactly one address.
    package init(_ address: IPAddress) {
        self.address = address
        length = address.bitWidth
    }

    /// Parses `address/length`; a bare address is refused.
    package init?(_ text: some StringProtocol) {
        guard let slash = text.utf8.firstIndex(of: 47), let address = IPAddress(text[..<slash]) else { return nil }
        var (length, digits) = (0, 0)
        for octet in text.utf8[text.utf8.index(after: slash)...] {
            guard (48...57).contains(octet), digits == 0 || length > 0, digits < 3 else { return nil }
            (length, digits) = (length * 10 + Int(octet - 48), digits + 1)
        }
        guard digits > 0 else { return nil }
        self.init(address, length: length)
    }

    /// `0.0.0.0/0`.
    package static let everyIPv4 = IPPrefix(uncheckedAddress: .v4(.unspecified), length: 0)
    /// `::/0`.
    package static let everyIPv6 = IPPrefix(uncheckedAddress: .v6(.unspecified), length: 0)

    private init(uncheckedAddress address: IPAddress, length: Int) {
        self.address = address
        self.length = length
    }

    /// Whether the prefix names exactly one address.
    @inlinable package var isSingleAddress: Bool { length == address.bitWidth }

    /// The same prefix with its host bits cleared.
    package var masked: IPPrefix {
        switch address {
        case .v4(let ipv4):
            IPPrefix(uncheckedAddress: .v4(IPv4Address(rawValue: ipv4.rawValue & Self.mask32(length))), length: length)
        case .v6(let ipv6):
            IPPrefix(
                uncheckedAddress: .v6(
                    IPv6Address(high: ipv6.high & Self.mask64(length), low: ipv6.low & Self.mask64(length - 64))
                ),
                length: length
            )
        }
    }

    /// Whether `other` lies inside; never across families.
    @inlinable
    package func contains(_ other: IPAddress) -> Bool {
        switch (address, other) {
        case (.v4(let own), .v4(let other)):
            (own.rawValue ^ other.rawValue) & Self.mask32(length) == 0
        case (.v6(let own), .v6(let other)):
            (own.high ^ other.high) & Self.mask64(length) == 0
                && (own.low ^ other.low) & Self.mask64(length &- 64) == 0
        default: false
        }
    }

    /// Whether all of `other` lies inside.
    package func contains(_ other: IPPrefix) -> Bool {
        other.length >= length && contains(other.address)
    }

    /// Whether the two share an address.
    package func overlaps(_ other: IPPrefix) -> Bool {
        contains(other) || other.contains(self)
    }

    /// The first `length` bits of 32.
    @usableFromInline
    static func mask32(_ length: Int) -> UInt32 {
        length <= 0 ? 0 : length >= 32 ? .max : .max << UInt32(32 - length)
    }

    /// The first `length` bits of 64.
    @usableFromInline
    static func mask64(_ length: Int) -> UInt64 {
        length <= 0 ? 0 : length >= 64 ? .max : .max << UInt64(64 - length)
    }
}

extension IPPrefix: CustomStringConvertible {
    /// `address/length`.
    package var description: String { "\(address)/\(length)" }
}

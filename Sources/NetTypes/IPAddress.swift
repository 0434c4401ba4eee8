/// An IPv4 or IPv6 address.
package enum IPAddress: Hashable, Sendable {
    /// An IPv4 address.
    case v4(IPv4Address)
    /// An IPv6 address.
    case v6(IPv6Address)

    /// Parses either family; zones are refused.
    package init?(_ text: some StringProtocol) {
        if let address = IPv4Address(text) {
            self = .v4(address)
        } else if let address = IPv6Address(text) {
            self = .v6(address)
        } else {
            return nil
        }
    }

    /// 32 or 128.
    @inlinable package var bitWidth: Int { isIPv4 ? 32 : 128 }

    /// Whether this is the IPv4 case.
    @inlinable package var isIPv4: Bool {
        if case .v4 = self { true } else { false }
    }

    /// An IPv4-mapped IPv6 address as IPv4, everything else unchanged.
    @inlinable package var unmapped: IPAddress {
        if case .v6(let address) = self, let ipv4 = address.mappedIPv4 { .v4(ipv4) } else { self }
    }

    /// The sixteen octets of the IPv6 form, IPv4 mapped.
    @inlinable package var mapped: IPv6Address {
        switch self {
        case .v4(let address): IPv6Address(mapping: address)
        case .v6(let address): address
        }
    }

    /// `0.0.0.0` or `::`.
    @inlinable package var isUnspecified: Bool {
        switch self {
        case .v4(let address): address.isUnspecified
        case .v6(let address): address.isUnspecified
        }
    }

    /// 127.0.0.0/8 or `::1`.
    @inlinable package var isLoopback: Bool {
        switch self {
        case .v4(let address): address.isLoopback
        case .v6(let address): address.isLoopback
        }
    }

    /// 169.254.0.0/16 or fe80::/10.
    @inlinable package var isLinkLocal: Bool {
        switch self {
        case .v4(let address): address.isLinkLocal
        case .v6(let address): address.isLinkLocal
        }
    }

    /// 224.0.0.0/4 or ff00::/8.
    @inlinable package var isMulticast: Bool {
        switch self {
        case .v4(let address): address.isMulticast
        case .v6(let address): address.isMulticast
        }
    }

    /// RFC 1918 or unique local (RFC 4193).
    @inlinable package var isPrivate: Bool {
        switch self {
        case .v4(let address): address.isPrivate
        case .v6(let address): address.isUniqueLocal
        }
    }
}

extension IPAddress: Comparable {
    /// IPv4 before IPv6, then numeric.
    @inlinable
    package static func < (lhs: Self, rhs: Self) -> Bool {
        switch (lhs, rhs) {
        case (.v4(let left), .v4(let right)): left < right
        case (.v6(let left), .v6(let right)): left < right
        case (.v4, .v6): true
        case (.v6, .v4): false
        }
    }
}

extension IPAddress: CustomStringConvertible {
    /// The canonical text of the family.
    package var description: String {
        switch self {
        case .v4(let address): address.description
        case .v6(let address): address.description
        }
    }
}

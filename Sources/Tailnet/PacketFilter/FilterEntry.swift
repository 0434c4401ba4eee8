import NetTypes

/// One source or destination of a filter rule, read from its text.
enum FilterEntry: Equatable {
    /// `*`: every address of both families.
    case every
    /// An IPv4 address, CIDR or range.
    case ipv4(AddressRange<UInt32>)
    /// An IPv6 address, CIDR or range.
    case ipv6(AddressRange<UInt128>)
    /// `cap:<name>`: the own addresses of the peers with this attribute.
    case capability(String)

    /// Reads the text; nil when it is none of the forms, when a CIDR has host bits or when a range is reversed or mixed.
    init?(_ text: String) {
        if text == "*" {
            self = .every
        } else if text.hasPrefix("cap:") {
            self = .capability(String(text.dropFirst(4)))
        } else if text.contains("/") {
            guard let prefix = IPPrefix(text), prefix == prefix.masked else { return nil }
            self.init(prefix)
        } else if let dash = text.firstIndex(of: "-") {
            guard let first = IPAddress(text[..<dash]), let last = IPAddress(text[text.index(after: dash)...]) else {
                return nil
            }
            switch (first, last) {
            case (.v4(let first), .v4(let last)):
                guard let range = AddressRange(first.rawValue, through: last.rawValue) else { return nil }
                self = .ipv4(range)
            case (.v6(let first), .v6(let last)):
                guard let range = AddressRange(first.number, through: last.number) else { return nil }
                self = .ipv6(range)
            default: return nil
            }
        } else {
            guard let address = IPAddress(text) else { return nil }
            self.init(IPPrefix(address))
        }
    }

    /// All addresses of a prefix.
    init(_ prefix: IPPrefix) {
        switch prefix.address {
        case .v4(let address): self = .ipv4(AddressRange(address.rawValue, length: prefix.length))
        case .v6(let address): self = .ipv6(AddressRange(address.number, length: prefix.length))
        }
    }

    /// Whether the two name a common address; a capability names none.
    func overlaps(_ other: FilterEntry) -> Bool {
        switch (self, other) {
        case (.capability, _), (_, .capability): false
        case (.every, _), (_, .every): true
        case (.ipv4(let own), .ipv4(let other)): own.overlaps(other)
        case (.ipv6(let own), .ipv6(let other)): own.overlaps(other)
        case (.ipv4, .ipv6), (.ipv6, .ipv4): false
        }
    }
}

import NetTypes

/// An inclusive range of addresses of one family, as numbers.
struct AddressRange<Number: FixedWidthInteger & UnsignedInteger & Sendable>: Hashable, Sendable {
    /// The first address.
    let lower: Number
    /// The last address.
    let upper: Number

    /// The one address.
    init(_ address: Number) {
        lower = address
        upper = address
    }

    /// The range; nil when it is reversed.
    init?(_ lower: Number, through upper: Number) {
        guard lower <= upper else { return nil }
        self.lower = lower
        self.upper = upper
    }

    /// All addresses that share the first `length` bits.
    init(_ address: Number, length: Int) {
        let hostBits = Number.max >> length
        lower = address & ~hostBits
        upper = address | hostBits
    }

    /// Whether the address lies inside.
    func contains(_ address: Number) -> Bool { lower <= address && address <= upper }

    /// Whether the two share an address.
    func overlaps(_ other: Self) -> Bool { lower <= other.upper && other.lower <= upper }
}

/// Groups of address ranges packed into one array; within a group they ascend and do not touch.
struct SortedRanges<Number: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
    private var ranges: [AddressRange<Number>] = []

    /// No groups.
    init() {}

    /// One group.
    init(_ group: [AddressRange<Number>]) { _ = append(group) }

    /// The indices of all ranges.
    var indices: Range<Int> { ranges.indices }

    /// Adds a group and returns the name to ask for it.
    mutating func append(_ group: [AddressRange<Number>]) -> Range<Int> {
        let start = ranges.count
        for range in group.sorted(by: { $0.lower < $1.lower }) {
            if ranges.count > start, let last = ranges.last, last.upper == .max || range.lower <= last.upper + 1,
                let joined = AddressRange(last.lower, through: max(last.upper, range.upper))
            {
                ranges[ranges.count - 1] = joined
            } else {
                ranges.append(range)
            }
        }
        return start..<ranges.count
    }

    /// Whether a range of the group holds the address.
    func contains(_ address: Number, in group: Range<Int>) -> Bool {
        var low = group.lowerBound
        var high = group.upperBound
        while low < high {
            let middle = (low &+ high) / 2
            if ranges[middle].lower <= address { low = middle &+ 1 } else { high = middle }
        }
        return low > group.lowerBound && address <= ranges[low &- 1].upper
    }
}

extension IPv6Address {
    /// The address as one number.
    var number: UInt128 { UInt128(high) << 64 | UInt128(low) }
}

/// A set of addresses of both families.
struct AddressSet: Sendable {
    private let ipv4: SortedRanges<UInt32>
    private let ipv6: SortedRanges<UInt128>

    /// The union of the prefixes.
    init(_ prefixes: [IPPrefix]) {
        var ipv4: [AddressRange<UInt32>] = []
        var ipv6: [AddressRange<UInt128>] = []
        for prefix in prefixes {
            switch prefix.address {
            case .v4(let address): ipv4.append(AddressRange(address.rawValue, length: prefix.length))
            case .v6(let address): ipv6.append(AddressRange(address.number, length: prefix.length))
            }
        }
        self.ipv4 = SortedRanges(ipv4)
        self.ipv6 = SortedRanges(ipv6)
    }

    /// Whether a prefix of the address's family holds it.
    func contains(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let address): ipv4.contains(address.rawValue, in: ipv4.indices)
        case .v6(let address): ipv6.contains(address.number, in: ipv6.indices)
        }
    }
}

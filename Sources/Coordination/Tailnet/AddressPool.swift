package import NetTypes
package import Tailcfg

/// Hands out the addresses of a tailnet: one counter gives both families, used ones rest before they come again.
package struct AddressPool: Hashable, Sendable {
    /// One address of each family.
    package typealias Pair = (ipv4: IPv4Address, ipv6: IPv6Address)

    private let ipv4Range: IPPrefix
    private let ipv6Range: IPPrefix
    /// The next place to try; persisted, so that a restart does not hand out a removed node's address at once.
    package private(set) var next: UInt32
    private var used: Set<IPv4Address> = []
    private var resting: [IPv4Address: ControlTime] = [:]

    /// Addresses that may not be given out yet, and until when, as far as that must outlive a restart: in a large range
    /// the counter, which is kept, does not come round within a day.
    package var restingToKeep: [IPv4Address: ControlTime]? {
        size <= CoordinationDefaults.smallRangeSize ? resting : nil
    }

    /// A pool of two ranges.
    ///
    /// - Throws: `CoordinationError.invalidAddressRange` when a range lies outside what clients take for a tailnet's.
    package init(
        ipv4Range: IPPrefix,
        ipv6Range: IPPrefix,
        next: UInt32 = 1,
        resting: [IPv4Address: ControlTime] = [:]
    ) throws(CoordinationError) {
        guard TailnetAddresses.ipv4Range.contains(ipv4Range), (10...30).contains(ipv4Range.length) else {
            throw .invalidAddressRange(ipv4Range.description)
        }
        guard TailnetAddresses.ipv6Range.contains(ipv6Range), (48...96).contains(ipv6Range.length) else {
            throw .invalidAddressRange(ipv6Range.description)
        }
        self.ipv4Range = ipv4Range.masked
        self.ipv6Range = ipv6Range.masked
        self.next = max(1, next)
        self.resting = resting
    }

    private var size: UInt32 { 1 << UInt32(32 - ipv4Range.length) }

    /// Takes the next free pair of addresses.
    package mutating func allocate(now: ControlTime) throws(CoordinationError) -> Pair {
        for _ in 0..<size {
            if next >= size { next = 1 }
            let index = next
            next += 1
            guard let ipv4 = ipv4(index), !used.contains(ipv4) else { continue }
            if let freed = resting[ipv4] {
                guard now >= freed else { continue }
                resting[ipv4] = nil
            }
            used.insert(ipv4)
            return (ipv4, ipv6(index))
        }
        throw .addressesExhausted
    }

    /// Notes that a known node holds an address.
    package mutating func reserve(_ address: IPv4Address) { used.insert(address) }

    /// Gives an address back; it rests a day.
    package mutating func release(_ address: IPv4Address, now: ControlTime) {
        used.remove(address)
        resting = resting.filter { $0.value > now }
        resting[address] = now.adding(seconds: CoordinationDefaults.addressRestSeconds)
    }

    /// The address at a place, unless it is reserved in one of the families.
    private func ipv4(_ index: UInt32) -> IPv4Address? {
        guard case .v4(let base) = ipv4Range.address, index < size - 1 else { return nil }
        let address = IPv4Address(rawValue: base.rawValue + index)
        // 100.100.0.0/24, 100.100.100.0/24, ChromeOS's range, network and broadcast addresses of the whole.
        let block = address.rawValue >> 8
        if block == 0x64_6400 || block == 0x64_6464 { return nil }
        if TailnetAddresses.chromeOSRange.contains(.v4(address)) { return nil }
        let isEdge = address.rawValue & 0x3F_FFFF == 0 || address.rawValue & 0x3F_FFFF == 0x3F_FFFF
        if isEdge || TailnetAddresses.isService(.v6(ipv6(index))) { return nil }
        return TailnetAddresses.viaRange.contains(.v6(ipv6(index))) ? nil : address
    }

    private func ipv6(_ index: UInt32) -> IPv6Address {
        guard case .v6(let base) = ipv6Range.address else { return .unspecified }
        return IPv6Address(high: base.high, low: base.low | UInt64(index))
    }
}

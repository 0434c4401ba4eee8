import NetTypes
import NetWire

extension DNSName {
    private static let reverseIPv4 = DNSName("in-addr.arpa") ?? .root
    private static let reverseIPv6 = DNSName("ip6.arpa") ?? .root

    /// The address whose reverse name this is (RFC 1035 §3.5, RFC 3596 §2.5); nil when it is not one in full.
    var reverseAddress: IPAddress? {
        if isWithin(Self.reverseIPv4) {
            let octets = labels.dropLast(2)
            guard octets.count == 4 else { return nil }
            return IPv4Address(octets.reversed().joined(separator: ".")).map(IPAddress.v4)
        }
        guard isWithin(Self.reverseIPv6) else { return nil }
        let nibbles = labels.dropLast(2)
        guard nibbles.count == 32 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for nibble in nibbles.reversed() {
            guard nibble.utf8.count == 1, let digit = nibble.first?.hexDigitValue else { return nil }
            high = high << 4 | low >> 60
            low = low << 4 | UInt64(digit)
        }
        return .v6(IPv6Address(high: high, low: low))
    }

    /// The address that a "4via6" name stands for: `192-168-1-2-via-7`, alone or below `*.ts.net` or `*.tailscale.net`
    /// (tailscale net/dns/resolver); nil for every other name.
    var viaAddress: IPv6Address? {
        let labels = labels
        guard let first = labels.first, let via = first.firstRange(of: "-via-") else { return nil }
        let domain = labels.dropFirst()
        // The domain must lie below one of the two, as every tailnet's does.
        guard
            domain.isEmpty
                || domain.count > 2 && ["ts", "tailscale"].contains(domain.suffix(2).first)
                    && domain.last == "net"
        else { return nil }
        let octets = first[..<via.lowerBound].split(separator: "-", omittingEmptySubsequences: false)
        guard let address = IPv4Address(octets.joined(separator: ".")),
            let site = Self.siteNumber(first[via.upperBound...])
        else { return nil }
        return TailnetAddresses.via(site: site, address)
    }

    // As Go's strconv.ParseUint with base 0 reads it, underscores aside; the text is in lower case.
    private static func siteNumber(_ text: Substring) -> UInt32? {
        let (digits, radix): (Substring, Int) =
            if text.hasPrefix("0x") {
                (text.dropFirst(2), 16)
            } else if text.hasPrefix("0o") {
                (text.dropFirst(2), 8)
            } else if text.hasPrefix("0b") {
                (text.dropFirst(2), 2)
            } else if text.hasPrefix("0"), text.utf8.count > 1 {
                (text.dropFirst(), 8)
            } else {
                (text, 10)
            }
        // `UInt32` would take a sign.
        guard let start = digits.first, start.isHexDigit else { return nil }
        return UInt32(digits, radix: radix)
    }
}

/// An address and a UDP or TCP port.
package struct AddressPort: Hashable, Sendable {
    /// The address.
    package let address: IPAddress
    /// The port, 0…65535.
    package let port: UInt16

    /// Joins the two.
    @inlinable
    package init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Parses `1.2.3.4:5` or `[2001:db8::1]:5`; names and zones are refused.
    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastColon else { return nil }
        let portText = text[text.utf8.index(after: colon)...]
        guard (1...5).contains(portText.utf8.count), portText.utf8.allSatisfy({ (48...57).contains($0) }),
            let port = UInt16(portText)
        else { return nil }
        let host = text[..<colon]
        if host.utf8.first == 91, host.hasSuffix("]") {
            guard let address = IPv6Address(host.dropFirst().dropLast()) else { return nil }
            self.init(.v6(address), port: port)
        } else {
            guard let address = IPv4Address(host) else { return nil }
            self.init(.v4(address), port: port)
        }
    }
}

extension AddressPort: CustomStringConvertible {
    /// `1.2.3.4:5` or `[2001:db8::1]:5`.
    package var description: String {
        address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}

extension StringProtocol {
    /// The place of the last colon; found without a look at whole characters, which takes long in a big network map.
    var lastColon: Index? {
        var (place, found): (Index, Index?) = (utf8.startIndex, nil)
        while place != utf8.endIndex {
            if utf8[place] == 58 { found = place }
            place = utf8.index(after: place)
        }
        return found
    }
}

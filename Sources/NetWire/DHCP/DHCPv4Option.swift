package import NetTypes

/// The number of a DHCP option (RFC 2132); unknown numbers survive.
package struct DHCPv4OptionCode: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    package let rawValue: UInt8

    /// Takes any number.
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// The mask of the on-link network.
    package static let subnetMask = DHCPv4OptionCode(rawValue: 1)
    /// Gateways, the best first.
    package static let routers = DHCPv4OptionCode(rawValue: 3)
    /// Resolvers, the best first.
    package static let nameServers = DHCPv4OptionCode(rawValue: 6)
    /// The host's name.
    package static let hostname = DHCPv4OptionCode(rawValue: 12)
    /// The domain that the host is in.
    package static let domainName = DHCPv4OptionCode(rawValue: 15)
    /// The largest packet on the link.
    package static let interfaceMTU = DHCPv4OptionCode(rawValue: 26)
    /// The address that the client would like.
    package static let requestedAddress = DHCPv4OptionCode(rawValue: 50)
    /// How long the address may be used.
    package static let leaseSeconds = DHCPv4OptionCode(rawValue: 51)
    /// Which of the header's text fields hold options too.
    package static let overload = DHCPv4OptionCode(rawValue: 52)
    /// What the message is for.
    package static let messageType = DHCPv4OptionCode(rawValue: 53)
    /// Which server is meant or speaks.
    package static let serverIdentifier = DHCPv4OptionCode(rawValue: 54)
    /// The options that the client wants to see.
    package static let parameterRequestList = DHCPv4OptionCode(rawValue: 55)
    /// Why a NAK was sent, for people.
    package static let message = DHCPv4OptionCode(rawValue: 56)
    /// The largest message that the client takes.
    package static let maximumMessageSize = DHCPv4OptionCode(rawValue: 57)
    /// After how long the client renews with its server.
    package static let renewalSeconds = DHCPv4OptionCode(rawValue: 58)
    /// After how long it asks any server.
    package static let rebindingSeconds = DHCPv4OptionCode(rawValue: 59)
    /// The software of the client.
    package static let vendorClass = DHCPv4OptionCode(rawValue: 60)
    /// Who the client is.
    package static let clientIdentifier = DHCPv4OptionCode(rawValue: 61)
    /// The domains that short names are looked for in (RFC 3397).
    package static let domainSearch = DHCPv4OptionCode(rawValue: 119)
    /// Routes beside the default one (RFC 3442).
    package static let classlessRoutes = DHCPv4OptionCode(rawValue: 121)

    /// Fills space and has no length.
    static let pad = DHCPv4OptionCode(rawValue: 0)
    /// Ends the options and has no length.
    static let end = DHCPv4OptionCode(rawValue: 255)
}

/// What a DHCP message is for (RFC 2132 §9.6); unknown numbers survive.
package struct DHCPv4MessageType: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    package let rawValue: UInt8

    /// Takes any number.
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// A client looks for servers.
    package static let discover = DHCPv4MessageType(rawValue: 1)
    /// A server has an address.
    package static let offer = DHCPv4MessageType(rawValue: 2)
    /// A client takes, verifies or prolongs an address.
    package static let request = DHCPv4MessageType(rawValue: 3)
    /// A client found the address in use.
    package static let decline = DHCPv4MessageType(rawValue: 4)
    /// The server agrees.
    package static let ack = DHCPv4MessageType(rawValue: 5)
    /// The server disagrees: the client must begin again.
    package static let nak = DHCPv4MessageType(rawValue: 6)
    /// A client gives its address back.
    package static let release = DHCPv4MessageType(rawValue: 7)
    /// A client with an address asks for the rest.
    package static let inform = DHCPv4MessageType(rawValue: 8)
}

/// The options of a DHCP message in their order; parts of a split option are joined (RFC 3396).
package struct DHCPv4Options: Equatable, Sendable {
    /// One option.
    package struct Element: Equatable, Sendable {
        /// Which option.
        package let code: DHCPv4OptionCode
        /// Its octets, however many.
        package var value: [UInt8]
    }

    /// The options in the order of their first appearance.
    package private(set) var elements: [Element] = []

    /// No options.
    package init() {}

    /// The octets of an option, or nil.
    package subscript(code: DHCPv4OptionCode) -> [UInt8]? {
        get { elements.first { $0.code == code }?.value }
        set {
            if let index = elements.firstIndex(where: { $0.code == code }) {
                if let newValue { elements[index].value = newValue } else { elements.remove(at: index) }
            } else if let newValue {
                elements.append(Element(code: code, value: newValue))
            }
        }
    }

    /// An option of exactly one octet.
    package func octet(_ code: DHCPv4OptionCode) -> UInt8? {
        guard let value = self[code], value.count == 1 else { return nil }
        return value[0]
    }

    /// An option of exactly one 16-bit number.
    package func uint16(_ code: DHCPv4OptionCode) -> UInt16? {
        guard let value = self[code], value.count == 2 else { return nil }
        return value.span.bigEndian(at: 0)
    }

    /// An option of exactly one 32-bit number, such as a time.
    package func uint32(_ code: DHCPv4OptionCode) -> UInt32? {
        guard let value = self[code], value.count == 4 else { return nil }
        return value.span.bigEndian(at: 0)
    }

    /// The addresses of an option that holds some.
    package func addresses(_ code: DHCPv4OptionCode) -> [IPv4Address] {
        guard let value = self[code], value.count.isMultiple(of: 4) else { return [] }
        return stride(from: 0, to: value.count, by: 4).map { IPv4Address(value.span, at: $0) }
    }

    /// An option of text; octets that are not UTF-8 are replaced, a final zero is dropped.
    package func text(_ code: DHCPv4OptionCode) -> String? {
        guard var value = self[code] else { return nil }
        if value.last == 0 { value.removeLast() }
        return String(decoding: value, as: UTF8.self)
    }

    /// Sets an option of one 16-bit number.
    package mutating func set(_ code: DHCPv4OptionCode, _ value: UInt16) {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: value)
        self[code] = bytes
    }

    /// Sets an option of one 32-bit number.
    package mutating func set(_ code: DHCPv4OptionCode, _ value: UInt32) {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: value)
        self[code] = bytes
    }

    /// Sets an option of addresses.
    package mutating func set(_ code: DHCPv4OptionCode, _ addresses: [IPv4Address]) {
        var bytes: [UInt8] = []
        for address in addresses { bytes.append(bigEndian: address.rawValue) }
        self[code] = bytes
    }

    /// Sets an option of text.
    package mutating func set(_ code: DHCPv4OptionCode, _ text: String) {
        self[code] = Array(text.utf8)
    }

    /// The search list; empty when there is none.
    ///
    /// - Throws: `.truncated`, `.malformed`.
    package func domainSearch() throws(WireError) -> [DNSName] {
        let value = self[.domainSearch] ?? []
        return try DomainNameList.parse(value.span, allowsPointers: true)
    }

    /// Sets the search list, compressed (RFC 3397).
    package mutating func setDomainSearch(_ names: [DNSName]) {
        self[.domainSearch] = DomainNameList.compressed(names)
    }

    /// Sets the classless routes (RFC 3442); IPv6 prefixes are left out.
    package mutating func setClasslessRoutes(_ routes: [(destination: IPPrefix, router: IPv4Address)]) {
        var bytes: [UInt8] = []
        for route in routes {
            guard case .v4(let address) = route.destination.masked.address else { continue }
            let length = route.destination.length
            bytes.append(UInt8(length))
            for index in 0..<((length + 7) / 8) {
                bytes.append(UInt8(truncatingIfNeeded: address.rawValue >> UInt32(24 - index * 8)))
            }
            bytes.append(bigEndian: route.router.rawValue)
        }
        self[.classlessRoutes] = bytes
    }

    /// Reads options up to the end option or the end of `bytes`, joining parts.
    ///
    /// - Throws: `.truncated` when an option is longer than what is left.
    mutating func parse(_ bytes: Span<UInt8>) throws(WireError) {
        var cursor = 0
        while cursor < bytes.count {
            let code = DHCPv4OptionCode(rawValue: bytes[cursor])
            cursor += 1
            if code == .pad { continue }
            if code == .end { return }
            guard cursor < bytes.count, cursor + 1 + Int(bytes[cursor]) <= bytes.count else { throw .truncated }
            let count = Int(bytes[cursor])
            let index = elements.firstIndex { $0.code == code } ?? elements.count
            if index == elements.count { elements.append(Element(code: code, value: [])) }
            for position in (cursor + 1)..<(cursor + 1 + count) { elements[index].value.append(bytes[position]) }
            cursor += 1 + count
        }
    }

    /// Appends the options, long ones in parts, and the end option.
    func append(to bytes: inout [UInt8]) {
        for element in elements {
            var rest = element.value[...]
            repeat {
                let part = rest.prefix(255)
                bytes.append(element.code.rawValue)
                bytes.append(UInt8(part.count))
                bytes.append(contentsOf: part)
                rest = rest.dropFirst(part.count)
            } while !rest.isEmpty
        }
        bytes.append(DHCPv4OptionCode.end.rawValue)
    }
}

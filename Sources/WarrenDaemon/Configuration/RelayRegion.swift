package import NetTypes
package import Yams

/// A relay of somebody else that clients of the embedded server may use: an entry of `control.embedded.derpRegions`.
package struct RelayRegion: ConfigurationValue {
    /// The region's number; 900 is our own.
    package var id: Int
    /// A short code, such as `fra`.
    package var code: String
    /// What people read.
    package var name: String
    /// The host, as in its certificate.
    package var host: String
    /// The TLS port.
    package var port: Int
    /// The UDP port of STUN; nil for a relay without.
    package var stunPort: Int?
    /// The pin of a certificate that no authority vouches for.
    package var certName: String
    /// The host's address, for clients without DNS.
    package var ipv4: IPAddress?
    /// The same for IPv6.
    package var ipv6: IPAddress?

    /// Numbers that regions of one's own may have, less the one of the embedded relay.
    private static let ids = 901...999
    private static let keys: Set<String> = [
        "id", "code", "name", "host", "port", "stunPort", "certName", "ipv4", "ipv6",
    ]

    package static var expectation: String {
        "a section with id (901 to 999) and host, and perhaps code, name, port, stunPort (a port or off), "
            + "certName (sha256-raw:<64 hex digits>), ipv4 and ipv6"
    }

    package init?(configuration node: Node) {
        guard case .mapping(let mapping) = node else { return nil }
        var words: [String: Node] = [:]
        for (key, value) in mapping {
            guard case .scalar(let scalar) = key, Self.keys.contains(scalar.string) else { return nil }
            words[scalar.string] = value
        }
        func read<Value: ConfigurationValue>(_ key: String, or fallback: Value) -> Value? {
            guard let node = words[key] else { return fallback }
            return Value(configuration: node)
        }
        guard let id: Int = read("id", or: 0), Self.ids.contains(id), let host: String = read("host", or: ""),
            Self.isHost(host), let code: String = read("code", or: "relay\(id)"),
            let name: String = read("name", or: code), let port: Int = read("port", or: 443), port <= 65_535,
            let stun: String = read("stunPort", or: "3478"), let certName: String? = read("certName", or: nil),
            let ipv4: IPAddress? = read("ipv4", or: nil), let ipv6: IPAddress? = read("ipv6", or: nil),
            ipv4?.isIPv4 != false, ipv6?.isIPv4 != true, certName.map(Self.isPin) != false
        else { return nil }
        let stunPort = Int(stun).flatMap { (1...65_535).contains($0) ? $0 : nil }
        guard stun == "off" || stunPort != nil else { return nil }
        self.id = id
        self.code = code
        self.name = name
        self.host = host
        self.port = port
        self.stunPort = stunPort
        self.certName = certName ?? ""
        self.ipv4 = ipv4
        self.ipv6 = ipv6
    }

    package var configurationNode: Node {
        var pairs: [(Node, Node)] = [
            (Node("id"), Node(String(id))), (Node("code"), Node(code)), (Node("name"), Node(name)),
            (Node("host"), Node(host)), (Node("port"), Node(String(port))),
            (Node("stunPort"), Node(stunPort.map(String.init) ?? "off")),
        ]
        if !certName.isEmpty { pairs.append((Node("certName"), Node(certName))) }
        if let ipv4 { pairs.append((Node("ipv4"), Node(ipv4.description))) }
        if let ipv6 { pairs.append((Node("ipv6"), Node(ipv6.description))) }
        return Node(pairs, .implicit, .flow)
    }

    private static func isHost(_ text: String) -> Bool {
        if IPAddress(text) != nil { return true }
        return (1...253).contains(text.utf8.count)
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count)
                    && label.utf8.allSatisfy { octet in
                        octet == UInt8(ascii: "-") || (48...57).contains(octet) || (65...90).contains(octet)
                            || (97...122).contains(octet)
                    }
            }
    }

    private static func isPin(_ text: String) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return isHost(text) }
        return parts[0] == "sha256-raw" && parts[1].utf8.count == 64
            && parts[1].utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }
}

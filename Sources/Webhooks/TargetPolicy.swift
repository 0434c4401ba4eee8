package import NetTypes
package import WarrenModel

/// The one policy for connections whose target someone outside chose.
///
/// | Addresses | control, DERP, STUN, resolver, disco | webhook, image |
/// | --- | --- | --- |
/// | unspecified, link-local, multicast, reserved, metadata services | never | never |
/// | loopback | when the control server is on loopback | when listed |
/// | private, unique local, carrier-grade NAT, benchmarking, documentation | yes | when listed |
/// | all others | yes | yes |
package struct TargetPolicy: DialPolicy, WebTargetPolicy {
    private let allowedNetworks: [IPPrefix]
    private let allowsHTTP: Bool
    private var controlIsOnLoopback: Bool
    private let plainControl: PlainHTTPRule

    /// Where control servers may be spoken to without TLS.
    package enum PlainHTTPRule: String, Sendable, CaseIterable {
        /// Nowhere, on this machine, or everywhere.
        case never, loopback, always
    }

    /// Joins what the configuration says: `webhooks.allowNetworks`, `webhooks.allowHTTP`, `control.allowPlainHTTP`, and
    /// whether the default control server is on loopback.
    package init(
        allowedNetworks: [IPPrefix] = [],
        allowsHTTP: Bool = false,
        plainControl: PlainHTTPRule = .loopback,
        controlIsOnLoopback: Bool = false
    ) {
        self.allowedNetworks = allowedNetworks
        self.allowsHTTP = allowsHTTP
        self.plainControl = plainControl
        self.controlIsOnLoopback = controlIsOnLoopback
    }

    /// The same rules for one control server that is, or is not, this host's own: what a foreign one names is never on loopback.
    package func forControl(ofThisHost isOurs: Bool) -> TargetPolicy {
        var copy = self
        copy.controlIsOnLoopback = isOurs
        return copy
    }

    /// Tells whether a connection to this address may be opened for this purpose.
    package func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool {
        let address = Self.innermost(address)
        if Self.never.contains(where: { $0.contains(address) }) { return false }
        let isListed = allowedNetworks.contains { Self.contains($0, address) }
        switch purpose {
        case .webhook, .image:
            return isListed || !(address.isLoopback || Self.notPublic.contains { $0.contains(address) })
        case .control, .derp, .stun, .resolver, .disco:
            return !address.isLoopback || controlIsOnLoopback
        }
    }

    /// Why the URL is refused, in one sentence, or nil.
    package func refusal(of url: WebURL, for purpose: DialPurpose) -> String? {
        if let address = url.address, !permits(address, for: purpose) {
            return "\(address) is not an address that this host connects to for others"
        }
        guard url.scheme == .http else { return nil }
        switch purpose {
        case .webhook, .image: return allowsHTTP ? nil : "http is not allowed here, use https"
        case .control, .derp, .stun, .resolver, .disco:
            switch plainControl {
            case .always: return nil
            case .loopback where url.host == "localhost" || url.address?.unmapped.isLoopback == true: return nil
            case .loopback, .never: return "http is not allowed for this control server, use https"
            }
        }
    }

    /// The IPv4 address that an IPv6 address stands for, so that no notation goes around a rule.
    private static func innermost(_ address: IPAddress) -> IPAddress {
        guard case .v6(let outer) = address.unmapped else { return address.unmapped }
        if outer.high == 0, outer.low >> 32 == 0, outer.low > 1 {  // IPv4-compatible, RFC 4291 §2.5.5.1
            return .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: outer.low)))
        }
        if outer.high == 0x0064_FF9B_0000_0000, outer.low >> 32 == 0 {  // NAT64, RFC 6052
            return .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: outer.low)))
        }
        if outer.high >> 48 == 0x2002 {  // 6to4, RFC 3056
            return .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: outer.high >> 16)))
        }
        return address
    }

    private static func contains(_ prefix: IPPrefix, _ address: IPAddress) -> Bool {
        prefix.contains(address) || prefix.contains(.v6(address.mapped))
    }

    private static func prefixes(_ texts: [String]) -> [IPPrefix] { texts.compactMap { IPPrefix($0) } }

    /// Link-local holds the metadata service of most clouds; the single addresses are those of the others.
    static let never = prefixes([
        "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32", "168.63.129.16/32",
        "192.0.0.192/32", "::/128", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::254/128", "fd20:ce::254/128",
    ])

    /// Not of the public internet (IANA special-purpose registries, RFC 6890).
    static let notPublic = prefixes([
        "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "64:ff9b:1::/48", "100::/64",
        "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7",
    ])
}

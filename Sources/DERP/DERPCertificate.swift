package import FoundationEssentials
import NetTypes
import SwiftASN1
package import WarrenCrypto
import X509

/// The certificate by which a server announces its DERP key inside TLS, for fast start.
///
/// Common name `derpkey` and 64 hex digits, serial number the protocol version (tailscale `derpserver.initMetacert`).
package struct DERPMetaCertificate: Equatable, Sendable {
    /// The server's key.
    package let serverKey: NodePublicKey
    /// The protocol version.
    package let version: UInt8

    /// Reads a certificate; nil when it is another one.
    package init?(der: [UInt8]) {
        // Whatever does not parse is no meta certificate.
        guard let certificate = try? Certificate(derEncoded: der),
            let name = certificate.commonName, name.hasPrefix(DERPConstants.metaCertificatePrefix),
            let octets = Octets32(hex: name.dropFirst(DERPConstants.metaCertificatePrefix.count))
        else { return nil }
        let serial = certificate.serialNumber.bytes.drop { $0 == 0 }
        guard serial.count <= 1 else { return nil }
        serverKey = NodePublicKey(octets: octets)
        version = serial.first ?? 0
    }
}

/// How the certificate of a DERP node is verified; the meaning of `CertName` and `InsecureForTests`.
package enum DERPCertificateRule: Equatable, Sendable {
    /// By the system's authorities, for this name.
    case authorities(name: String)
    /// Exactly this certificate, by the lower-case hex of its SHA-256; authorities do not matter.
    case pinned(hash: String)
    /// Not at all.
    case anything

    /// The rule of a node.
    package init(certName: String, hostName: String, insecureForTests: Bool) {
        if insecureForTests {
            self = .anything
        } else if certName.hasPrefix(DERPConstants.pinPrefix) {
            self = .pinned(hash: String(certName.dropFirst(DERPConstants.pinPrefix.count)))
        } else {
            self = .authorities(name: certName.isEmpty ? hostName : certName)
        }
    }

    /// Judges a chain against a pin: beside meta certificates exactly one, with that hash, valid now, for the dialled host.
    package static func checkPin(
        _ hash: String,
        chain: [[UInt8]],
        dialedHost: String,
        now: Date
    ) throws(DERPCertificateFault) {
        var found: (certificate: Certificate, der: [UInt8])?
        for der in chain {
            let certificate: Certificate
            do { certificate = try Certificate(derEncoded: der) } catch { throw .malformed }
            if certificate.commonName?.hasPrefix(DERPConstants.metaCertificatePrefix) == true { continue }
            guard found == nil else { throw .tooMany }
            found = (certificate, der)
        }
        guard let found else { throw .notPresented }
        guard SHA256.hash(found.der.span).hexText == hash else { throw .wrongHash }
        guard found.certificate.notValidBefore <= now, now <= found.certificate.notValidAfter else { throw .expired }
        guard found.certificate.isValid(for: dialedHost) else { throw .wrongHost }
    }
}

extension Certificate {
    /// The common name of the subject.
    var commonName: String? {
        for name in subject {
            for attribute in name where attribute.type == .RDNAttributeType.commonName {
                return String(attribute.value)
            }
        }
        return nil
    }

    /// Whether the certificate names `host`, an address or a DNS name, among its alternative names (RFC 6125 §6.4).
    func isValid(for host: String) -> Bool {
        // A certificate whose alternative names do not parse names nobody.
        guard let names = try? extensions.subjectAlternativeNames else { return false }
        if let address = IPAddress(host) {
            let octets = address.octets
            return names.contains { name in
                if case .ipAddress(let value) = name { Array(value.bytes) == octets } else { false }
            }
        }
        let host = Self.normalized(host)
        return names.contains { name in
            guard case .dnsName(let text) = name else { return false }
            let pattern = Self.normalized(text)
            if pattern == host { return true }
            guard pattern.hasPrefix("*."), let dot = host.firstIndex(of: "."), dot > host.startIndex else {
                return false
            }
            return host[dot...] == pattern.dropFirst()
        }
    }

    private static func normalized(_ name: String) -> String {
        let name = name.lowercased()
        return name.hasSuffix(".") ? String(name.dropLast()) : name
    }
}

extension IPAddress {
    /// The four or sixteen octets.
    fileprivate var octets: [UInt8] {
        switch self {
        case .v4(let address): (0..<4).map { UInt8(truncatingIfNeeded: address.rawValue >> UInt32(24 - 8 * $0)) }
        case .v6(let address):
            [address.high, address.low].flatMap { half in
                (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) }
            }
        }
    }
}

extension [UInt8] {
    /// Lower-case hex digits.
    package var hexText: String {
        let digits = Array<UInt8>("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

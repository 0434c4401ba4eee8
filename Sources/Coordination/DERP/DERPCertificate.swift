import Crypto
package import FoundationEssentials
import NIOSSL
import NetTypes
import SwiftASN1
import X509

/// The relay's self-signed certificate, which clients pin by its hash; made once and kept with its key.
package struct DERPCertificate: Codable, Hashable, Sendable {
    /// The certificate in DER.
    package let der: [UInt8]
    /// The P-256 private key in DER (SEC 1 or PKCS #8): a secret.
    package let privateKeyDER: [UInt8]

    /// Makes a certificate for a DNS name or an address literal, valid from a day ago for `years`.
    package static func make(host: String, years: Int = 30, now: Date = Date()) throws -> DERPCertificate {
        let key = P256.Signing.PrivateKey()
        let name = try DistinguishedName { CommonName(host) }
        let alternative: GeneralName
        switch IPAddress(host) {
        case .v4(let address):
            alternative = .ipAddress(
                ASN1OctetString(contentBytes: Self.octets(UInt64(address.rawValue), count: 4)[...])
            )
        case .v6(let address):
            let octets = Self.octets(address.high, count: 8) + Self.octets(address.low, count: 8)
            alternative = .ipAddress(ASN1OctetString(contentBytes: octets[...]))
        case nil: alternative = .dnsName(host)
        }
        let certificate = try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PublicKey(key.publicKey),
            notValidBefore: now.addingTimeInterval(-86_400),
            notValidAfter: now.addingTimeInterval(Double(years) * 365 * 86_400),
            issuer: name,
            subject: name,
            extensions: try Certificate.Extensions {
                SubjectAlternativeNames([alternative])
                try ExtendedKeyUsage([.serverAuth])
            },
            issuerPrivateKey: Certificate.PrivateKey(key)
        )
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return DERPCertificate(der: serializer.serializedBytes, privateKeyDER: [UInt8](key.derRepresentation))
    }

    private static func octets(_ value: UInt64, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }

    /// The `CertName` of the DERP map: `sha256-raw:` and the lower-case hex of the certificate's SHA-256.
    package var certName: String { "sha256-raw:" + SHA256.hash(data: der).map { Self.hex($0) }.joined() }

    private static func hex(_ octet: UInt8) -> String {
        (octet < 16 ? "0" : "") + String(octet, radix: 16)
    }

    /// A server's configuration with this certificate alone.
    func makeServerConfiguration() throws -> TLSConfiguration {
        TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(try NIOSSLCertificate(bytes: der, format: .der))],
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: privateKeyDER, format: .der))
        )
    }
}

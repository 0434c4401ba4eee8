import Crypto
import FoundationEssentials
package import NIOSSL
import SwiftASN1
import X509

/// A self-signed certificate for some names and `127.0.0.1`, made anew for every test.
package struct LoopbackCertificate {
    /// The certificate, to be trusted.
    package let certificate: NIOSSLCertificate
    private let key: NIOSSLPrivateKey
    private let extras: [NIOSSLCertificate]

    /// A certificate for `names`; its server presents a meta certificate of this common name behind it, when one is given.
    package init(names: [String] = ["localhost"], metaName: String? = nil, isExpired: Bool = false) throws {
        let key = P256.Signing.PrivateKey()
        certificate = try Self.make(names, commonName: names.first ?? "localhost", key: key, isExpired: isExpired)
        extras =
            try metaName.map { [try Self.make([], commonName: $0, key: P256.Signing.PrivateKey(), isExpired: false)] }
            ?? []
        self.key = try NIOSSLPrivateKey(bytes: [UInt8](key.derRepresentation), format: .der)
    }

    private static func make(
        _ names: [String],
        commonName: String,
        key: P256.Signing.PrivateKey,
        isExpired: Bool
    ) throws -> NIOSSLCertificate {
        let name = try DistinguishedName { CommonName(commonName) }
        let end = isExpired ? Date() - 60 : Date() + 3600
        let made = try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PublicKey(key.publicKey),
            notValidBefore: Date() - 3600,
            notValidAfter: end,
            issuer: name,
            subject: name,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                SubjectAlternativeNames(
                    names.map { .dnsName($0) } + [.ipAddress(ASN1OctetString(contentBytes: [127, 0, 0, 1]))]
                )
            },
            issuerPrivateKey: Certificate.PrivateKey(key)
        )
        var serializer = DER.Serializer()
        try serializer.serialize(made)
        return try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der)
    }

    /// The server's side of TLS with this certificate.
    package func serverContext() throws -> NIOSSLContext {
        try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(certificate)] + extras.map { .certificate($0) },
                privateKey: .privateKey(key)
            )
        )
    }
}

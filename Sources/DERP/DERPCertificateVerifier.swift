import FoundationEssentials
import NIOCore
import NIOSSL
import SwiftASN1
import Transport
import X509

/// Applies a certificate rule inside the TLS handshake.
struct DERPCertificateVerifier: Sendable {
    let rule: DERPCertificateRule
    let hostName: String

    /// A TLS handler that presents `hostName` as SNI and verifies by the rule.
    func makeHandler(faulted: @escaping @Sendable (DERPCertificateFault) -> Void) throws -> NIOSSLClientHandler {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if case .anything = rule { configuration.certificateVerification = .none }
        let context = try ClientTLS.context(configuration)
        if case .anything = rule { return try ClientTLS.handler(context, host: hostName) }
        let name = ClientTLS.serverName(of: hostName)
        return try NIOSSLClientHandler(context: context, serverHostname: name) { chain, promise in
            verify(chain, promise: promise, faulted: faulted)
        }
    }

    private func verify(
        _ chain: [NIOSSLCertificate],
        promise: EventLoopPromise<NIOSSLVerificationResult>,
        faulted: @escaping @Sendable (DERPCertificateFault) -> Void
    ) {
        let encoded: [[UInt8]]
        do { encoded = try chain.map { try $0.toDERBytes() } } catch {
            faulted(.malformed)
            return promise.succeed(.failed)
        }
        switch rule {
        case .anything:
            promise.succeed(.certificateVerified)
        case .pinned(let hash):
            do throws(DERPCertificateFault) {
                try DERPCertificateRule.checkPin(hash, chain: encoded, dialedHost: hostName, now: Date())
                promise.succeed(.certificateVerified)
            } catch {
                faulted(error)
                promise.succeed(.failed)
            }
        case .authorities(let name):
            // Owned by the promise: the handshake, which has a deadline, waits for nothing else.
            promise.completeWithTask {
                guard await Self.isTrusted(encoded, name: name) else {
                    faulted(.untrusted)
                    return .failed
                }
                return .certificateVerified
            }
        }
    }

    private static func isTrusted(_ chain: [[UInt8]], name: String) async -> Bool {
        // A certificate that does not parse cannot be part of a path.
        let certificates = chain.compactMap { try? Certificate(derEncoded: $0) }
            .filter { $0.commonName?.hasPrefix(DERPConstants.metaCertificatePrefix) != true }
        guard let leaf = certificates.first else { return false }
        let isAddress = ClientTLS.serverName(of: name) == nil
        var verifier = Verifier(rootCertificates: .systemTrustRoots) {
            RFC5280Policy()
            ServerIdentityPolicy(serverHostname: isAddress ? nil : name, serverIP: isAddress ? name : nil)
        }
        let result = await verifier.validate(leaf: leaf, intermediates: CertificateStore(certificates.dropFirst()))
        if case .validCertificate = result { return true }
        return false
    }
}

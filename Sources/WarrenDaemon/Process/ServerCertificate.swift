import NIOSSL

/// The certificate of the TCP listener.
enum ServerCertificate {
    /// Reads the files of `listen.tls`; nil when none are named.
    /// - Throws: `DaemonError.certificateUnusable`.
    static func load(_ section: TLSSection) throws(DaemonError) -> TLSConfiguration? {
        guard let certificate = section.certificate, let key = section.privateKey else { return nil }
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(certificate)
            guard !chain.isEmpty else {
                throw DaemonError.certificateUnusable(reason: "\(certificate) holds no certificate")
            }
            return TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
            )
        } catch let error as DaemonError {
            throw error
        } catch {
            throw .certificateUnusable(reason: "\(certificate) or \(key) cannot be read: \(error)")
        }
    }
}

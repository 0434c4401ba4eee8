package import NIOSSL
import Synchronization

/// With which certificate control is served.
package enum CoordinationTLS: Sendable {
    /// A certificate that the server makes for itself once and keeps.
    case own
    /// A given one; `renewed` is asked once a minute for a newer one.
    case given(TLSConfiguration, renewed: @Sendable () -> TLSConfiguration?)
}

/// The certificate that new connections get; those that are up keep theirs.
final class ServingCertificate: Sendable {
    private let current: Mutex<NIOSSLContext>

    /// Serves by a configuration.
    init(_ configuration: TLSConfiguration) throws {
        current = Mutex(try Self.context(configuration))
    }

    /// For the next connection.
    var context: NIOSSLContext { current.withLock { $0 } }

    /// Changes to another certificate.
    func replace(_ configuration: TLSConfiguration) throws {
        let context = try Self.context(configuration)
        current.withLock { $0 = context }
    }

    private static func context(_ configuration: TLSConfiguration) throws -> NIOSSLContext {
        var configuration = configuration
        configuration.minimumTLSVersion = .tlsv12
        // The upgrade to Noise needs HTTP/1.1.
        configuration.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }
}

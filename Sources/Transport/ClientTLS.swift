package import NIOSSL
import NetTypes

/// TLS as the client's side of a byte stream speaks it.
package enum ClientTLS {
    /// A context with HTTP/1.1 as the only protocol: an upgrade inside HTTP/2 would be another one.
    /// - Throws: `.tlsFailed` when the settings cannot be used.
    package static func context(_ settings: TLSConfiguration) throws(TransportError) -> NIOSSLContext {
        var settings = settings
        if settings.minimumTLSVersion != .tlsv13 { settings.minimumTLSVersion = .tlsv12 }
        settings.applicationProtocols = ["http/1.1"]
        do { return try NIOSSLContext(configuration: settings) } catch { throw .tlsFailed }
    }

    /// The name to send to a server; nil for addresses, which SNI does not carry.
    package static func serverName(of host: String) -> String? { IPAddress(host) == nil ? host : nil }

    /// A handler that verifies the server for `host`, a name or an address.
    package static func handler(_ context: NIOSSLContext, host: String) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: serverName(of: host))
    }
}

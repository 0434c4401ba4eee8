import Glibc
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Logging
import NIOCore
package import NIOPosix
package import NIOSSL
package import NetTypes
import ServiceLifecycle
package import Store

/// Serves the API at one address until the daemon ends.
package struct APIServer: Service {
    /// Where the API is served.
    package enum Address: Sendable {
        /// At a TCP address, with TLS or without.
        case tcp(AddressPort, TLSConfiguration?)
        /// At a Unix socket of mode 0660.
        case unixSocket(String)

        fileprivate var text: String {
            switch self {
            case .tcp(let address, _): address.description
            case .unixSocket(let path): path
            }
        }
    }

    // Longer than the pauses of a person or a poller, shorter than it takes forgotten connections to pile up.
    private static let idleTimeout = TimeAmount.seconds(75)
    // Above our own limit, so that most of what is too large gets a problem document and not the parser's bare 400.
    private static let parserHeaderByteCount = 64 << 10

    private let router: APIRouter
    private let address: Address
    private let database: WarrenDatabase
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger
    private let onListening: @Sendable (AddressPort?) async -> Void

    /// Serves `router` at `address`; `onListening` hears the TCP address in use once connections are accepted.
    package init(
        router: APIRouter,
        address: Address,
        database: WarrenDatabase,
        group: MultiThreadedEventLoopGroup,
        logger: Logger,
        onListening: @escaping @Sendable (AddressPort?) async -> Void
    ) {
        self.router = router
        self.address = address
        self.database = database
        self.group = group
        self.logger = logger
        self.onListening = onListening
    }

    /// Serves until graceful shutdown, then finishes the requests it has.
    ///
    /// - Throws: `APIServerError` when the address cannot be served.
    package func run() async throws {
        do {
            switch address {
            case .tcp(let address, let tls):
                try await serve(.hostname("\(address.address)", port: Int(address.port)), .tcp, try Self.builder(tls))
            case .unixSocket(let path):
                try Self.checkFree(path)
                try await serve(.unixDomainSocket(path: path), .unixSocket, .http1(configuration: Self.channel))
            }
        } catch let error as IOError {
            throw APIServerError.cannotListen(address: address.text, reason: Self.text(error.errnoCode))
        } catch let error as NIOSSLError {
            throw APIServerError.certificateUnusable(reason: "\(error)")
        }
    }

    private func serve(
        _ bindAddress: BindAddress,
        _ listener: APIFront.Listener,
        _ server: HTTPServerBuilder
    ) async throws {
        let application = Application(
            responder: APIFront(router: router, listener: listener, database: database),
            server: server,
            configuration: ApplicationConfiguration(address: bindAddress, serverName: "warren"),
            onServerRunning: { channel in await listening(channel) },
            eventLoopGroupProvider: .shared(group),
            logger: logger
        )
        try await application.run()
    }

    private func listening(_ channel: any Channel) async {
        switch address {
        case .tcp(let configured, _):
            let port = channel.localAddress?.port.flatMap { UInt16(exactly: $0) }
            await onListening(AddressPort(configured.address, port: port ?? configured.port))
        case .unixSocket(let path):
            // The daemon's umask closed it to everybody else until here.
            if chmod(path, 0o660) != 0 {
                logger.warning("socket mode not set", metadata: ["path": "\(path)", "error": "\(Self.text(errno))"])
            }
            await onListening(nil)
        }
    }

    private static var channel: HTTP1Channel.Configuration {
        HTTP1Channel.Configuration(
            additionalChannelHandlers: [MalformedRequestHandler()],
            idleTimeout: idleTimeout,
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: parserHeaderByteCount,
                maxHeaderListSize: parserHeaderByteCount,
                maxHeaderFieldCount: 256
            )
        )
    }

    private static func builder(_ tls: TLSConfiguration?) throws -> HTTPServerBuilder {
        let plain = HTTPServerBuilder.http1(configuration: channel)
        return try tls.map { try .tls(plain, tlsConfiguration: $0) } ?? plain
    }

    /// A socket file that nobody serves any more is replaced; one that somebody serves is not taken away.
    private static func checkFree(_ path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw APIServerError.cannotListen(address: path, reason: "the path is too long for a socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let status = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if status == 0 {
            throw APIServerError.cannotListen(address: path, reason: "another process answers there")
        }
    }

    private static func text(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}

/// Why the API cannot be served.
package enum APIServerError: Error, Equatable, Sendable {
    /// The address cannot be bound.
    case cannotListen(address: String, reason: String)
    /// The certificate or its key cannot be used.
    case certificateUnusable(reason: String)
}

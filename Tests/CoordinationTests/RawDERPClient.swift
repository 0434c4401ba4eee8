import DERP
import NIOCore
import NIOPosix
import NIOSSL
import WarrenCrypto

/// TLS to a relay with nothing on top, for what a proper client never does.
enum RawClient {
    typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    static func connect(port: Int) async throws -> Connection {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        let context = try NIOSSLContext(configuration: configuration)
        return try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: nil)
                    )
                    return try Connection(wrappingChannelSynchronously: channel)
                }
            }
    }

    /// Upgrades and logs in; then sends `frame` and reads until the relay closes, or reads nothing during `body`.
    static func logIn(
        inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>,
        key: NodePrivateKey,
        thenUntilClosed frame: DERPFrame? = nil,
        orDeafDuring body: () async throws -> Void = {}
    ) async throws {
        var iterator = inbound.makeAsyncIterator()
        let request = "GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n"
        try await outbound.write(ByteBuffer(string: request))
        var received = ByteBuffer()
        var handshake = DERPClientHandshake(privateKey: key)
        var decoder: DERPFrameDecoder?
        while var part = try await iterator.next() {
            if decoder == nil {
                received.writeBuffer(&part)
                let text = String(decoding: received.readableBytesView, as: Unicode.ASCII.self)
                guard let end = text.firstRange(of: "\r\n\r\n") else { continue }
                let head = text[..<end.upperBound].utf8.count
                received.moveReaderIndex(forwardBy: head)
                part = received
                decoder = DERPFrameDecoder()
            }
            decoder?.append(part)
            while let next = try decoder?.next() {
                guard case .serverInfo = next else {
                    try await outbound.write(try handshake.greet(next).encoded)
                    continue
                }
                guard let frame else {
                    try await body()
                    // Without its iterator the channel would read on and throw away what comes.
                    return withExtendedLifetime(iterator) {}
                }
                try await outbound.write(frame.encoded)
                do {
                    while try await iterator.next() != nil {}
                } catch {
                    // A reset is a way of closing.
                }
                return
            }
        }
        throw DERPError.connectionClosed
    }
}

package import NIOCore
import NIOPosix
import NetTypes
import NetWire

/// Tells clients from where their datagrams come; stateless, silent towards everything that is no request of a node.
package final class STUNServer: Sendable {
    private let channel: any Channel

    private init(channel: any Channel) {
        self.channel = channel
    }

    /// Binds a UDP socket; port 0 takes any.
    package static func start(host: String, port: Int, eventLoop: any EventLoop) async throws -> STUNServer {
        let channel = try await DatagramBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(STUNHandler())
                }
            }
            .bind(host: host, port: port).get()
        return STUNServer(channel: channel)
    }

    /// The UDP port that is bound.
    package var port: Int { channel.localAddress?.port ?? 0 }

    /// Unbinds the socket.
    package func shutdown() async {
        // Closed already is as good.
        try? await channel.close()
    }
}

/// Answers one datagram with one that is not larger.
private final class STUNHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let text = envelope.remoteAddress.ipAddress, let address = IPAddress(text)?.unmapped,
            let port = envelope.remoteAddress.port.flatMap({ UInt16(exactly: $0) }),
            // Whatever is no proper request gets no answer, so that nobody can be flooded through us.
            let message = try? STUNMessage(parsing: envelope.data.readableBytesUInt8Span),
            case .bindingRequest(let transaction) = message
        else { return }
        let response = STUNMessage.bindingResponse(transaction, AddressPort(address, port: port))
        let reply = AddressedEnvelope(
            remoteAddress: envelope.remoteAddress,
            data: ByteBuffer(bytes: response.bytes)
        )
        context.write(wrapOutboundOut(reply), promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // An ICMP error for an earlier answer is nobody's business.
    }
}

import Coordination
import NIOCore
import NIOPosix
import NetTypes
import NetWire
import Testing

@Suite("STUNServer over loopback", .timeLimit(.minutes(1))) struct STUNServerTests {
    @Test(arguments: ["127.0.0.1", "::1"])
    func `tells a client its address and is silent towards everybody else`(host: String) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let server = try await STUNServer.start(host: host, port: 0, eventLoop: loop)
        let client = try await DatagramBootstrap(group: loop).bind(host: host, port: 0) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<AddressedEnvelope<ByteBuffer>, AddressedEnvelope<ByteBuffer>>(
                    wrappingChannelSynchronously: channel
                )
            }
        }
        let target = try SocketAddress(ipAddress: host, port: server.port)
        var generator = SystemRandomNumberGenerator()
        let id = STUNTransactionID(using: &generator)
        let request = STUNMessage.bindingRequest(id).bytes
        var forged = request
        forged[forged.count - 1] ^= 1
        let response = STUNMessage.bindingResponse(id, AddressPort(.v4(.loopback), port: 9)).bytes
        let port = try #require(client.channel.localAddress?.port.flatMap { UInt16(exactly: $0) })
        let address = try #require(IPAddress(host))
        try await client.executeThenClose { inbound, outbound in
            // What is no request goes first: had it been answered, that answer would be read below.
            for datagram in [[], Array(request.prefix(19)), forged, response, request] {
                try await outbound.write(AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: datagram)))
            }
            for try await envelope in inbound {
                let message = try STUNMessage(parsing: envelope.data.readableBytesUInt8Span)
                #expect(message == .bindingResponse(id, AddressPort(address, port: port)))
                break
            }
        }
        await server.shutdown()
    }
}

import Foundation
import GuestNetwork
import NIOCore
import NIOPosix
import NetTypes
import Synchronization

/// QEMU's end of a NIC socket, with somebody behind it who sends and receives frames.
final class FakeGuest: Sendable {
    /// Where the socket is.
    let path: String
    /// The frames that reached the guest.
    let frames: AsyncStream<[UInt8]>
    private let server: any Channel
    private let connection: EventLoopFuture<any Channel>
    private let continuation: AsyncStream<[UInt8]>.Continuation

    /// Listens as QEMU does.
    init() async throws {
        path = NSTemporaryDirectory() + "g\(UInt32.random(in: 0 ... .max)).sock"
        let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self, bufferingPolicy: .bufferingNewest(4096))
        (frames, self.continuation) = (stream, continuation)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: (any Channel).self)
        connection = promise.futureResult
        server = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Reader { continuation.yield($0) })
                    promise.succeed(channel)
                }
            }
            .bind(unixDomainSocketPath: path)
            .get()
        // A guest that nobody connects to must not leave the promise behind.
        server.closeFuture.whenComplete { _ in promise.fail(ChannelError.eof) }
    }

    /// Sends one Ethernet frame.
    func send(frame: [UInt8]) async throws {
        var buffer = ByteBuffer()
        buffer.writeInteger(UInt32(frame.count))
        buffer.writeBytes(frame)
        try await connection.get().writeAndFlush(buffer)
    }

    /// Sends one IPv4 packet to the gateway.
    func send(packet: [UInt8]) async throws {
        try await send(frame: [0x02, 0x57, 0x52, 0, 0, 1, 0x52, 0x54, 0, 0x57, 0x52, 0x4E, 8, 0] + packet)
    }

    /// Sends octets that are no frames.
    func send(garbage: [UInt8]) async throws {
        try await connection.get().writeAndFlush(ByteBuffer(bytes: garbage))
    }

    /// The next IPv4 packet that reached the guest.
    func nextPacket() async -> [UInt8]? {
        for await frame in frames where frame.count > 34 && frame[12...13] == [8, 0] { return Array(frame[14...]) }
        return nil
    }

    /// For how many seconds the next router advertisement that reached the guest holds.
    func nextRouterLifetime() async -> Int? {
        for await frame in frames where frame.count >= 70 && frame[12...13] == [0x86, 0xDD] && frame[54] == 134 {
            return Int(frame[60]) << 8 | Int(frame[61])
        }
        return nil
    }

    /// Removes the socket and hangs up.
    func close() async {
        continuation.finish()
        // The test is over: what cannot be closed is closed already.
        try? await server.close()
        try? await connection.get().close()
        try? FileManager.default.removeItem(atPath: path)
    }

    /// A UDP datagram between two tailnet addresses.
    static func datagram(from source: IPv4Address, to destination: IPv4Address, payload: [UInt8]) -> [UInt8] {
        var packet: [UInt8] = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0]
        packet += source.octets + destination.octets
        packet += [0x1F, 0x90, 0x1F, 0x91, UInt8((payload.count + 8) >> 8), UInt8((payload.count + 8) & 255), 0, 0]
        packet += payload
        packet[2] = UInt8(packet.count >> 8)
        packet[3] = UInt8(packet.count & 255)
        return packet
    }

    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var decoder = NICFrameDecoder()
        private let deliver: @Sendable ([UInt8]) -> Void

        init(_ deliver: @escaping @Sendable ([UInt8]) -> Void) { self.deliver = deliver }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            decoder.append(unwrapInboundIn(data))
            while let frame = try? decoder.next() { deliver([UInt8](frame.readableBytesView)) }
        }
    }
}

extension IPv4Address {
    var octets: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: rawValue >> UInt32(24 - 8 * $0)) } }
}

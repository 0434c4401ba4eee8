import Foundation
import GuestNetwork
import NIOCore
import NIOPosix
import NetTypes
import Synchronization

/// QEMU's end of a NIC socket with a guest that answers calls: a datagram that says 1 comes back saying 2.
final class ProbeGuest: Sendable {
    /// Where the socket is.
    let path: String
    /// How many answers reached the guest.
    let answers = Atomic<Int>(0)
    private let server: any Channel
    private let connection: EventLoopFuture<any Channel>

    init() async throws {
        path = NSTemporaryDirectory() + "probe-\(UUID().uuidString).sock"
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let connected = loop.makePromise(of: (any Channel).self)
        connection = connected.futureResult
        let box = ReceiverBox()
        server = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Reader { box.receive($0, on: $1) })
                    connected.succeed(channel)
                }
            }
            .bind(unixDomainSocketPath: path).get()
        box.guest.withLock { $0 = self }
    }

    /// Sends a datagram of one octet.
    func send(_ octet: UInt8, from source: IPv4Address, to destination: IPv4Address) async throws {
        let frame = Self.frame(octet, from: source.rawValue, to: destination.rawValue)
        try await connection.get().writeAndFlush(frame)
    }

    /// Removes the socket.
    func close() { unlink(path) }

    private func receive(_ frame: [UInt8], on channel: any Channel) {
        // Ethernet, an IPv4 header without options, UDP, one octet.
        guard frame.count >= 43, frame[12...13] == [8, 0], frame[23] == 17 else { return }
        guard frame[42] == 1 else {
            answers.wrappingAdd(1, ordering: .relaxed)
            return
        }
        let addresses = [26, 30].map { start in frame[start..<start + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } }
        channel.writeAndFlush(Self.frame(2, from: addresses[1], to: addresses[0]), promise: nil)
    }

    private static func frame(_ octet: UInt8, from source: UInt32, to destination: UInt32) -> ByteBuffer {
        let ethernet: [UInt8] = [0x02, 0x57, 0x52, 0, 0, 1, 0x52, 0x54, 0, 0x57, 0x52, 0x4E, 8, 0]
        var buffer = ByteBuffer()
        buffer.writeInteger(UInt32(ethernet.count + 29))
        buffer.writeBytes(ethernet + [0x45, 0, 0, 29, 0, 0, 0x40, 0, 64, 17, 0, 0])
        buffer.writeInteger(source)
        buffer.writeInteger(destination)
        buffer.writeBytes([0x1F, 0x90, 0x1F, 0x90, 0, 9, 0, 0, octet])
        return buffer
    }

    private final class ReceiverBox: Sendable {
        let guest = Mutex<ProbeGuest?>(nil)
        func receive(_ frame: [UInt8], on channel: any Channel) { guest.withLock { $0 }?.receive(frame, on: channel) }
    }

    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var decoder = NICFrameDecoder()
        private let deliver: (([UInt8], any Channel) -> Void)

        init(_ deliver: @escaping ([UInt8], any Channel) -> Void) { self.deliver = deliver }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            decoder.append(unwrapInboundIn(data))
            do {
                while let frame = try decoder.next() { deliver([UInt8](frame.readableBytesView), context.channel) }
            } catch { context.close(promise: nil) }
        }
    }
}

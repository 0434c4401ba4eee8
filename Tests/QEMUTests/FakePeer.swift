import Foundation
import NIOCore
import NIOPosix

/// A Unix socket in a VM's directory behind which a test plays QEMU or the guest: it answers line by line.
struct FakePeer {
    private let server: any Channel

    /// Listens at `run/<name>` below `directory`; `respond` gets each line and returns the octets to send back.
    init(
        directory: String,
        name: String,
        greeting: String = "",
        respond: @escaping @Sendable (String) -> [UInt8]
    ) async throws {
        try FileManager.default.createDirectory(atPath: "\(directory)/run", withIntermediateDirectories: true)
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Answerer(greeting: greeting, respond: respond))
                }
            }
            .bind(unixDomainSocketPath: "\(directory)/run/\(name)").get()
    }

    func close() async throws { try await server.close() }

    private final class Answerer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let greeting: String
        private let respond: @Sendable (String) -> [UInt8]
        private var buffer: [UInt8] = []

        init(greeting: String, respond: @escaping @Sendable (String) -> [UInt8]) {
            self.greeting = greeting
            self.respond = respond
        }

        func channelActive(context: ChannelHandlerContext) {
            if !greeting.isEmpty { context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: greeting)), promise: nil) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            buffer += Array(unwrapInboundIn(data).readableBytesView)
            while let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: buffer[..<end].filter { $0 != 0xFF }, as: UTF8.self)
                buffer.removeSubrange(...end)
                let answer = respond(line)
                if answer.isEmpty { continue }
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: answer)), promise: nil)
            }
        }
    }
}

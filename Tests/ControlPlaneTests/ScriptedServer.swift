import NIOCore
import NIOPosix
import Synchronization

/// A TCP server on loopback that answers requests with octets the test chose, however wrong they are.
final class ScriptedServer: Sendable {
    /// What a request is answered with.
    enum Script: Sendable {
        /// These octets, and then nothing.
        case reply([UInt8])
        /// These octets, and the end of the connection.
        case last([UInt8])
        /// The first octets once and the second again and again, as long as the client takes them.
        case endless([UInt8], [UInt8])
        /// These octets one by one with a pause between, for ever from the beginning.
        case drip([UInt8])
    }

    private let listener: any Channel
    private let written: Written

    fileprivate final class Written: Sendable {
        let byteCount = Atomic(0)
    }

    /// How much clients made us write.
    var writtenByteCount: Int { written.byteCount.load(ordering: .relaxed) }
    var port: Int { listener.localAddress?.port ?? 0 }

    private init(listener: any Channel, written: Written) {
        self.listener = listener
        self.written = written
    }

    /// Starts one; `script` gets the request line.
    static func start(_ script: @escaping @Sendable (Substring) -> Script) async throws -> ScriptedServer {
        let written = Written()
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ScriptHandler(script: script, written: written))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return ScriptedServer(listener: listener, written: written)
    }

    func stop() async throws { try await listener.close() }
}

private final class ScriptHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let script: (Substring) -> ScriptedServer.Script
    private let written: ScriptedServer.Written
    private var request = ByteBuffer()
    private var repeated: [UInt8] = []
    private var isAnswered = false
    private var isFilling = false

    init(script: @escaping @Sendable (Substring) -> ScriptedServer.Script, written: ScriptedServer.Written) {
        self.script = script
        self.written = written
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var octets = unwrapInboundIn(data)
        request.writeBuffer(&octets)
        guard !isAnswered, request.readableBytesView.firstRange(of: "\r\n\r\n".utf8) != nil else { return }
        isAnswered = true
        let line = String(buffer: request).prefix { $0 != "\r\n" }
        switch script(line) {
        case .reply(let octets):
            write(octets, context)
        case .last(let octets):
            write(octets, context)
            context.close(promise: nil)
        case .endless(let first, let rest):
            write(first, context)
            repeated = rest
            fill(context)
        case .drip(let octets):
            drip(octets, 0, context)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { fill(context) }

    private func fill(_ context: ChannelHandlerContext) {
        guard !repeated.isEmpty, !isFilling, context.channel.isActive, context.channel.isWritable else { return }
        write(repeated, context)
        // The loop may be the client's too.
        isFilling = true
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = bound.value
            handler.isFilling = false
            handler.fill(context)
        }
    }

    private func drip(_ octets: [UInt8], _ index: Int, _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        write([octets[index % octets.count]], context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: .milliseconds(5)) {
            let (handler, context) = bound.value
            handler.drip(octets, index + 1, context)
        }
    }

    private func write(_ octets: [UInt8], _ context: ChannelHandlerContext) {
        written.byteCount.add(octets.count, ordering: .relaxed)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: octets)), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

import Glibc
import NIOCore
import NIOPosix

/// Listens for the one stream in which a QEMU saves the state of its devices.
final class StateSink: Sendable {
    private let listener: any Channel
    private let state: EventLoopFuture<ByteBuffer>
    private let promise: EventLoopPromise<ByteBuffer>

    private init(listener: any Channel, promise: EventLoopPromise<ByteBuffer>) {
        self.listener = listener
        self.promise = promise
        state = promise.futureResult
    }

    /// Listens in the working directory of the QEMU of `directory`.
    ///
    /// - Throws: `QEMUError.notListening`.
    static func open(in directory: VMDirectory, group: any EventLoopGroup) async throws -> StateSink {
        let eventLoop = group.next()
        let promise = eventLoop.makePromise(of: ByteBuffer.self)
        let path = directory.path(of: .stateSink)
        do {
            let listener = try await ServerBootstrap(group: eventLoop)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(StateCollector(promise: promise))
                    }
                }
                .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
            // QEMU runs as another user; nobody else gets as far as this directory.
            guard chmod(path, 0o666) == 0 else {
                listener.close(promise: nil)
                throw QEMUError.notListening(socket: VMDirectory.Entry.stateSink.rawValue)
            }
            return StateSink(listener: listener, promise: promise)
        } catch {
            promise.fail(error)
            throw error
        }
    }

    /// The whole state once QEMU has closed its side.
    ///
    /// - Throws: `QEMUError.timedOut`, `.closed`.
    func collect(timeout: Duration) async throws -> [UInt8] {
        let timer = promise.futureResult.eventLoop.scheduleTask(in: TimeAmount(timeout)) { [promise] in
            promise.fail(QEMUError.timedOut(command: "migrate"))
        }
        defer { timer.cancel() }
        return Array(try await state.get().readableBytesView)
    }

    /// Stops listening.
    func close() {
        listener.close(promise: nil)
        promise.fail(QEMUError.closed(socket: VMDirectory.Entry.stateSink.rawValue))
    }
}

/// Keeps what one connection brings, up to a limit.
private final class StateCollector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let promise: EventLoopPromise<ByteBuffer>
    private var state = ByteBuffer()

    init(promise: EventLoopPromise<ByteBuffer>) { self.promise = promise }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        guard state.readableBytes + part.readableBytes <= QEMUDefaults.maxDeviceState else {
            promise.fail(QEMUError.refused(command: "migrate", description: "the state of the devices is too large"))
            return context.close(promise: nil)
        }
        state.writeBuffer(&part)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.succeed(state)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

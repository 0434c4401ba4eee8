package import NIOCore
import NIOHTTP1
import NIOHTTP2
import Synchronization

/// An HTTP/2 connection to the control server inside the Noise stream; carries every request side by side.
package final class ControlConnection: Sendable {
    /// The connection; closing it ends every request.
    package let channel: any Channel
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    private let authority: String
    private let isDraining: DrainingFlag
    private let requests = Atomic(0)

    /// Puts HTTP/2 on a channel whose handshake is done; on its event loop.
    init(configuring channel: any Channel, authority: String) throws {
        var configuration = NIOHTTP2Handler.Configuration()
        configuration.connection.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .initialWindowSize, value: ControlDefaults.streamWindowByteCount),
            HTTP2Setting(parameter: .maxHeaderListSize, value: ControlDefaults.maximumHeaderByteCount),
        ]
        configuration.connection.targetWindowSize = ControlDefaults.connectionWindowByteCount
        configuration.stream.targetWindowSize = ControlDefaults.streamWindowByteCount
        let pipeline = channel.pipeline.syncOperations
        multiplexer = try pipeline.configureHTTP2Pipeline(
            mode: .client,
            connectionConfiguration: configuration.connection,
            streamConfiguration: configuration.stream,
            // A server that opens streams towards us breaks the protocol: push is off.
            inboundStreamInitializer: { $0.close() }
        )
        let flag = DrainingFlag()
        try pipeline.addHandler(GoAwayHandler(flag: flag))
        isDraining = flag
        self.channel = channel
        self.authority = authority
    }

    /// Whether new requests may be sent: the connection is up and the server has not said goodbye.
    package var isUsable: Bool { channel.isActive && !isDraining.value.load(ordering: .relaxed) }

    /// Whether the server asked for requests to go elsewhere; one that crossed its word may be repeated.
    var isDismissed: Bool { isDraining.isDismissed.load(ordering: .relaxed) }

    /// Takes no new requests; those that run go on.
    package func retire() { isDraining.value.store(true, ordering: .relaxed) }

    /// Counts in a request that runs over this connection.
    package func beginRequest() { requests.add(1, ordering: .relaxed) }

    /// Counts it out, and closes the connection when it carries none and takes no new ones.
    package func endRequest() {
        requests.subtract(1, ordering: .relaxed)
        closeIfUseless()
    }

    /// Closes the connection when it takes no new requests and carries none: it is of no more use.
    package func closeIfUseless() {
        guard !isUsable, requests.load(ordering: .relaxed) == 0 else { return }
        channel.close(promise: nil)
    }

    /// Sends a request and collects its reply; nil as deadline waits as long as the connection lives.
    package func perform(
        _ request: ControlRequest,
        deadline: Duration?,
        maximumByteCount: Int = ControlConstants.maximumBodyByteCount
    ) async throws(ControlError) -> ControlReply {
        let promise = channel.eventLoop.makePromise(of: ControlReply.self)
        let authority = authority
        let stream = multiplexer.createStreamChannel { stream in
            stream.eventLoop.makeCompletedFuture {
                let pipeline = stream.pipeline.syncOperations
                try pipeline.addHandler(HTTP2FramePayloadToHTTP1ClientCodec(httpProtocol: .https))
                try pipeline.addHandler(
                    ControlReplyCollector(
                        request: request,
                        authority: authority,
                        maximumByteCount: maximumByteCount,
                        deadline: deadline,
                        reply: promise
                    )
                )
            }
        }
        stream.whenFailure { promise.fail($0) }
        do {
            return try await promise.futureResult.closingOnCancellation(stream)
        } catch { throw ControlError(mapping: error) }
    }

    /// Opens a map poll; the elements are messages as they were sent, with back-pressure to the server.
    package func openMap(
        _ request: ControlRequest,
        maximumByteCount: Int,
        watchdog: Duration
    ) async throws(ControlError) -> NIOAsyncChannel<ByteBuffer, Never> {
        let promise = channel.eventLoop.makePromise(of: NIOAsyncChannel<ByteBuffer, Never>.self)
        let authority = authority
        let stream = multiplexer.createStreamChannel { stream in
            stream.eventLoop.makeCompletedFuture {
                let pipeline = stream.pipeline.syncOperations
                try pipeline.addHandler(HTTP2FramePayloadToHTTP1ClientCodec(httpProtocol: .https))
                try pipeline.addHandler(
                    MapStreamHandler(
                        request: request,
                        authority: authority,
                        maximumByteCount: maximumByteCount,
                        watchdog: watchdog
                    )
                )
                // One message may be large: no more than one waits for the reader.
                promise.succeed(
                    try NIOAsyncChannel(
                        wrappingChannelSynchronously: stream,
                        configuration: .init(
                            backPressureStrategy: .init(lowWatermark: 1, highWatermark: 1),
                            inboundType: ByteBuffer.self,
                            outboundType: Never.self
                        )
                    )
                )
            }
        }
        stream.whenFailure { promise.fail($0) }
        do {
            return try await promise.futureResult.get()
        } catch { throw ControlError(mapping: error) }
    }

    /// Closes the connection and with it every request.
    package func close() async {
        // A connection that is gone already is what we want.
        try? await channel.close()
    }
}

/// Whether a connection takes new requests; written on the loop, read by whoever sends.
private final class DrainingFlag: Sendable {
    let value = Atomic(false)
    let isDismissed = Atomic(false)
}

/// Notices GOAWAY: what runs may end, what is new needs another connection.
private final class GoAwayHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private let flag: DrainingFlag

    init(flag: DrainingFlag) {
        self.flag = flag
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .goAway = unwrapInboundIn(data).payload else { return }
        flag.value.store(true, ordering: .relaxed)
        flag.isDismissed.store(true, ordering: .relaxed)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        flag.value.store(true, ordering: .relaxed)
        context.close(promise: nil)
    }
}

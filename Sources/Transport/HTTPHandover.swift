package import NIOCore
package import NIOHTTP1

/// One HTTP/1.1 request whose reply hands the connection over to another protocol: an upgrade, or `CONNECT`.
package enum HTTPHandover {
    /// Sends `head` and, when `accepts` throws nothing, lets `install` add the handlers of what follows.
    ///
    /// On the channel's event loop, like both closures. `install` runs when the HTTP handlers are gone and before the first octet behind
    /// the reply's header block is passed on, so that none is lost whatever the segmentation. The channel is closed when it fails.
    /// - Throws: `TransportError` or what `install` throws, in the future.
    package static func run(
        _ head: HTTPRequestHead,
        on channel: any Channel,
        accepts: @escaping (HTTPResponseHead) throws(TransportError) -> Void,
        install: @escaping (any Channel) throws -> Void
    ) -> EventLoopFuture<Void> {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        do {
            let encoder = HTTPRequestEncoder()
            let decoder = responseDecoder()
            let headGuard = ResponseHeadGuard()
            let handler = HTTPHandoverHandler(
                head: head,
                headGuard: headGuard,
                encoder: encoder,
                decoder: decoder,
                accepts: accepts,
                install: install,
                done: promise
            )
            try channel.pipeline.syncOperations.addHandlers([headGuard, encoder, decoder, handler])
        } catch {
            promise.fail(error)
            channel.close(promise: nil)
        }
        return promise.futureResult
    }

    /// A decoder of replies with bounded headers that forwards what it does not use.
    package static func responseDecoder() -> ByteToMessageHandler<HTTPResponseDecoder> {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = TransportConstants.maximumHeaderByteCount
        limits.maxHeaderListSize = TransportConstants.maximumHeaderByteCount
        limits.maxHeaderFieldCount = TransportConstants.maximumHeaderCount
        return ByteToMessageHandler(
            HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        )
    }
}

/// Sends the request when the connection is up, judges the reply, and leaves with the other HTTP handlers.
private final class HTTPHandoverHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = HTTPClientRequestPart

    private enum State { case idle, awaitingHead, awaitingEnd, accepted, failed }

    private var state = State.idle
    private let head: HTTPRequestHead
    private let headGuard: ResponseHeadGuard
    private let encoder: HTTPRequestEncoder
    private let decoder: ByteToMessageHandler<HTTPResponseDecoder>
    private let accepts: (HTTPResponseHead) throws(TransportError) -> Void
    private let install: (any Channel) throws -> Void
    private let done: EventLoopPromise<Void>

    init(
        head: HTTPRequestHead,
        headGuard: ResponseHeadGuard,
        encoder: HTTPRequestEncoder,
        decoder: ByteToMessageHandler<HTTPResponseDecoder>,
        accepts: @escaping (HTTPResponseHead) throws(TransportError) -> Void,
        install: @escaping (any Channel) throws -> Void,
        done: EventLoopPromise<Void>
    ) {
        self.head = head
        self.headGuard = headGuard
        self.encoder = encoder
        self.decoder = decoder
        self.accepts = accepts
        self.install = install
        self.done = done
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { send(context: context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        send(context: context)
        context.fireChannelActive()
    }

    private func send(context: ChannelHandlerContext) {
        guard state == .idle else { return }
        state = .awaitingHead
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .accepted:
            // Octets behind the reply, which the decoder gives up while it leaves.
            context.fireChannelRead(data)
        case .failed:
            break
        case .idle, .awaitingHead, .awaitingEnd:
            do throws(TransportError) {
                switch unwrapInboundIn(data) {
                case .head(let reply):
                    headGuard.headEnded()
                    try accepts(reply)
                    state = .awaitingEnd
                case .body:
                    throw .malformedReply
                case .end:
                    guard state == .awaitingEnd else { throw .malformedReply }
                    state = .accepted
                    handOver(context: context)
                }
            } catch {
                fail(error, context: context)
            }
        }
    }

    private func handOver(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        let gate = HandoverGate()
        do { try pipeline.addHandler(gate, position: .after(self)) } catch {
            return finish(error, context: context)
        }
        pipeline.removeHandler(headGuard, promise: nil)
        pipeline.removeHandler(encoder, promise: nil)
        // The decoder leaves later than it is told to, and would misread what the next protocol writes before.
        let removed = context.eventLoop.makePromise(of: Void.self)
        pipeline.removeHandler(decoder, promise: removed)
        removed.futureResult.assumeIsolated().whenComplete { _ in
            guard context.channel.isActive else {
                return self.finish(TransportError.connectionClosed, context: context)
            }
            do { try self.install(context.channel) } catch { return self.finish(error, context: context) }
            self.done.succeed()
            pipeline.removeHandler(self, promise: nil)
            pipeline.removeHandler(gate, promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(.connectionClosed, context: context)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        // A promise must not outlive its handler unfulfilled; a fulfilled one ignores this.
        done.fail(TransportError.connectionClosed)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if state == .accepted {
            context.fireErrorCaught(error)
        } else {
            fail(TransportError(mapping: error), context: context)
        }
    }

    private func fail(_ error: TransportError, context: ChannelHandlerContext) {
        guard state != .failed, state != .accepted else { return }
        finish(error, context: context)
    }

    private func finish(_ error: any Error, context: ChannelHandlerContext) {
        state = .failed
        done.fail(error)
        context.close(promise: nil)
    }
}

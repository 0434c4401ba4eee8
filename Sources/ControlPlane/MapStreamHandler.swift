import NIOCore
import NIOHTTP1

/// Tells a map stream that the server asked for silence: until it is over the watchdog rests.
struct MapSuspension: Sendable {
    let duration: Duration
}

/// Sends a streaming map request and cuts the endless reply into messages; ends the stream when they stay away.
final class MapStreamHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = HTTPClientRequestPart

    private let request: ControlRequest
    private let authority: String
    private let watchdog: Duration
    private var decoder: MapFrameDecoder
    private var lastMessage = NIODeadline.now()
    private var alarm: Scheduled<Void>?
    private var isStarted = false
    private var isDone = false
    /// The head of a reply with another status than 200 and the beginning of its text.
    private var refusal: (head: HTTPResponseHead, text: ByteBuffer)?

    init(request: ControlRequest, authority: String, maximumByteCount: Int, watchdog: Duration) {
        self.request = request
        self.authority = authority
        self.watchdog = watchdog
        decoder = MapFrameDecoder(maximumByteCount: maximumByteCount)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        lastMessage = context.eventLoop.now
        arm(after: TimeAmount(watchdog), context: context)
        if context.channel.isActive { start(context: context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        alarm?.cancel()
        alarm = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context: context)
        context.fireChannelActive()
    }

    private func start(context: ChannelHandlerContext) {
        guard !isStarted else { return }
        isStarted = true
        context.write(wrapOutboundOut(.head(request.head(authority: authority))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(request.body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func arm(after amount: TimeAmount, context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        alarm = context.eventLoop.scheduleTask(in: amount) {
            let (handler, context) = bound.value
            handler.watch(context: context)
        }
    }

    private func watch(context: ChannelHandlerContext) {
        let limit = TimeAmount(watchdog)
        let silence = context.eventLoop.now - lastMessage
        if silence >= limit {
            fail(.timedOut, context: context)
        } else {
            arm(after: limit - silence, context: context)
        }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard let suspension = event as? MapSuspension else {
            return context.triggerUserOutboundEvent(event, promise: promise)
        }
        lastMessage = context.eventLoop.now + TimeAmount(suspension.duration)
        promise?.succeed()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            if head.status.code >= 200, head.status != .ok { refusal = (head, ByteBuffer()) }
        case .body(var chunk):
            if refusal != nil {
                // No more than the 200 octets that an error shows are kept.
                let room = max(0, 200 - (refusal?.text.readableBytes ?? 0))
                if var part = chunk.readSlice(length: min(room, chunk.readableBytes)) {
                    refusal?.text.writeBuffer(&part)
                }
            } else {
                read(chunk, context: context)
            }
        case .end:
            finish(context: context)
        }
    }

    private func read(_ chunk: ByteBuffer, context: ChannelHandlerContext) {
        decoder.append(chunk)
        do throws(ControlError) {
            while let message = try decoder.next() {
                lastMessage = max(lastMessage, context.eventLoop.now)
                context.fireChannelRead(wrapInboundOut(message))
            }
        } catch {
            fail(error, context: context)
        }
    }

    private func finish(context: ChannelHandlerContext) {
        if let refusal {
            return fail(ControlReply.failure(head: refusal.head, body: refusal.text), context: context)
        }
        do throws(ControlError) {
            try decoder.finish()
            isDone = true
        } catch {
            fail(error, context: context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Ending without END_STREAM is an interruption, whatever the decoder holds.
        if !isDone { fail(.connectionClosed, context: context) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(ControlError(mapping: error), context: context)
    }

    private func fail(_ error: ControlError, context: ChannelHandlerContext) {
        guard !isDone else { return }
        isDone = true
        alarm?.cancel()
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }
}

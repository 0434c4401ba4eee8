package import NIOCore
package import NIOWebSocket

/// How large the messages of a WebSocket byte stream may be.
package struct WebSocketLimits: Equatable, Sendable {
    /// The most octets of one message that we send.
    package let outgoingByteCount: Int
    /// The most octets of one message that we take, all its fragments together.
    package let incomingByteCount: Int

    /// Limits in both directions.
    package init(outgoingByteCount: Int, incomingByteCount: Int) {
        self.outgoingByteCount = outgoingByteCount
        self.incomingByteCount = incomingByteCount
    }
}

/// Turns WebSocket frames into the byte stream that a raw upgrade gives, for either role (RFC 6455, without extensions).
///
/// It sits behind NIO's frame coders. Binary messages carry the stream and their boundaries mean nothing. A peer that breaks a rule is
/// told why by a close frame and has a second to read it. Not `Sendable`: it lives on its channel's event loop.
package final class WebSocketByteStream: ChannelDuplexHandler {
    package typealias InboundIn = WebSocketFrame
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = WebSocketFrame

    /// Which side of the connection this is.
    package enum Role: Sendable {
        /// Masks what it sends and takes only what is not masked.
        case client
        /// The other way round.
        case server
    }

    private enum State { case open, closing, closed }

    private let role: Role
    private let limits: WebSocketLimits
    private var state = State.open
    /// How many octets of a message came whose last fragment is still missing.
    private var unfinishedByteCount: Int?
    private var linger: Scheduled<Void>?
    private let refusal: WebSocketErrorCode?

    /// A stream at its beginning; with a refusal it is over at once, and the peer is told why.
    package init(role: Role, limits: WebSocketLimits, refusal: WebSocketErrorCode? = nil) {
        self.role = role
        self.limits = limits
        self.refusal = refusal
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        if let refusal { close(with: Self.reason(refusal), context: context) }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state == .open else { return }
        let frame = unwrapInboundIn(data)
        guard !frame.rsv1, !frame.rsv2, !frame.rsv3, (frame.maskKey != nil) == (role == .server) else {
            return refuse(.protocolError, context: context)
        }
        switch frame.opcode {
        case .binary where unfinishedByteCount == nil:
            receive(frame, after: 0, context: context)
        case .continuation:
            guard let count = unfinishedByteCount else { return refuse(.protocolError, context: context) }
            receive(frame, after: count, context: context)
        case .text:
            refuse(.unacceptableData, context: context)
        case .ping:
            // A peer that pings and does not read must not fill our memory with pongs.
            if context.channel.isWritable { send(.pong, frame.unmaskedData, context: context, promise: nil) }
            context.flush()
        case .pong:
            break
        case .connectionClose:
            // The first two octets are the code; what else the peer says nobody reads.
            close(with: frame.unmaskedData.getSlice(at: frame.unmaskedData.readerIndex, length: 2), context: context)
        default:
            refuse(.protocolError, context: context)
        }
    }

    private func receive(_ frame: WebSocketFrame, after count: Int, context: ChannelHandlerContext) {
        let octets = frame.unmaskedData
        let total = count + octets.readableBytes
        guard total <= limits.incomingByteCount else { return refuse(.messageTooLarge, context: context) }
        unfinishedByteCount = frame.fin ? nil : total
        if octets.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(octets)) }
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard state == .open else {
            promise?.fail(TransportError.connectionClosed)
            return
        }
        var octets = unwrapOutboundIn(data)
        while octets.readableBytes > limits.outgoingByteCount,
            let part = octets.readSlice(length: limits.outgoingByteCount)
        {
            send(.binary, part, context: context, promise: nil)
        }
        send(.binary, octets, context: context, promise: promise)
    }

    private func send(
        _ opcode: WebSocketOpcode,
        _ octets: ByteBuffer,
        context: ChannelHandlerContext,
        promise: EventLoopPromise<Void>?
    ) {
        let frame = WebSocketFrame(
            fin: true,
            opcode: opcode,
            maskKey: role == .client ? .random() : nil,
            data: octets
        )
        context.write(wrapOutboundOut(frame), promise: promise)
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if state == .open, mode != .input {
            state = .closing
            send(.connectionClose, Self.reason(.normalClosure), context: context, promise: nil)
            context.flush()
        }
        context.close(mode: mode, promise: promise)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case NIOWebSocketError.invalidFrameLength: refuse(.messageTooLarge, context: context)
        case is NIOWebSocketError: refuse(.protocolError, context: context)
        // What still comes behind a frame that could not be read is nobody's.
        case ByteToMessageDecoderError.dataReceivedInErrorState where state != .open: break
        default: context.fireErrorCaught(error)
        }
    }

    package func channelInactive(context: ChannelHandlerContext) {
        state = .closed
        linger?.cancel()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        state = .closed
        linger?.cancel()
    }

    /// Tells the peer what it did wrong, and those behind this handler that the stream is over.
    private func refuse(_ code: WebSocketErrorCode, context: ChannelHandlerContext) {
        guard state == .open else { return }
        close(with: Self.reason(code), context: context)
        context.fireErrorCaught(TransportError.webSocketViolation)
    }

    private func close(with reason: ByteBuffer?, context: ChannelHandlerContext) {
        state = .closing
        send(.connectionClose, reason ?? ByteBuffer(), context: context, promise: nil)
        context.flush()
        // Closing at once, with octets of the peer unread, would reset the connection and lose the close frame with it.
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        linger = context.eventLoop.scheduleTask(in: TransportConstants.webSocketLinger) {
            bound.value.close(promise: nil)
        }
    }

    private static func reason(_ code: WebSocketErrorCode) -> ByteBuffer {
        var data = ByteBuffer()
        data.write(webSocketErrorCode: code)
        return data
    }
}

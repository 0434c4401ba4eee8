package import NIOCore

/// Turns a connection into the decrypted byte stream inside the Noise records, for either role.
///
/// The handlers behind it (HTTP/2) are added when the handshake is done: by the callback of `opened` on the client, right away on the
/// server. Not `Sendable`: it lives on its channel's event loop.
package final class ControlNoiseHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private enum State { case awaitingResponse, open, closed }

    private var state: State
    private var initiator: ControlNoiseHandshake.Initiator?
    private var records: ControlRecordLayer?
    private var pending = ByteBuffer()
    private var earlyPayload: EarlyPayloadDetector?
    private var greeting: ByteBuffer?
    private let opened: EventLoopPromise<Void>?

    /// The client's side: expects the response as the first octets.
    ///
    /// `opened` is fulfilled on the event loop before any decrypted octet is passed on, so its callbacks may add the handlers that
    /// receive them.
    package init(initiator: consuming ControlNoiseHandshake.Initiator, opened: EventLoopPromise<Void>) {
        state = .awaitingResponse
        self.initiator = consume initiator
        self.opened = opened
        earlyPayload = EarlyPayloadDetector()
    }

    /// The server's side: writes response and early payload when it is added, for whoever adds it to flush, and then passes records both ways.
    /// - Throws: `.oversized` for an early payload beyond its cap.
    package init(accepted: consuming ControlNoiseHandshake.Acceptance, earlyPayload: EarlyPayload?) throws(ControlError)
    {
        state = .open
        opened = nil
        var records = accepted.outcome.records
        var greeting = ByteBuffer(bytes: accepted.response)
        if let earlyPayload, accepted.version >= ControlConstants.earlyPayloadVersion {
            try records.seal(try earlyPayload.encoded(), into: &greeting)
        }
        self.records = records
        self.greeting = greeting
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        guard let greeting = greeting.take() else { return }
        context.write(wrapOutboundOut(greeting), promise: nil)
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var octets = unwrapInboundIn(data)
        do throws(ControlError) {
            switch state {
            case .closed:
                return
            case .awaitingResponse:
                pending.writeBuffer(&octets)
                guard try readResponse() else { return }
                opened?.succeed()
                records?.append(pending)
                pending = ByteBuffer()
            case .open:
                records?.append(octets)
            }
            while state == .open, let plaintext = try records?.next() {
                let stream = try earlyPayload?.append(plaintext) ?? plaintext
                if stream.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(stream)) }
            }
        } catch {
            fail(error, context: context)
        }
    }

    /// Whether the handshake is complete.
    private func readResponse() throws(ControlError) -> Bool {
        guard let type: UInt8 = pending.getInteger(at: pending.readerIndex) else { return false }
        switch type {
        case ControlNoiseHandshake.FrameType.response:
            guard let response = pending.readBytes(length: ControlConstants.responseByteCount) else { return false }
            guard let initiator = initiator.take() else { return false }
            records = try initiator.finish(response).records
            state = .open
            return true
        case ControlNoiseHandshake.FrameType.error:
            throw .handshakeFailed(.refusedByPeer)
        default:
            throw .handshakeFailed(.wrongType)
        }
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard state == .open else {
            promise?.fail(ControlError.connectionClosed)
            return
        }
        var output = ByteBuffer()
        do throws(ControlError) {
            try records?.seal(unwrapOutboundIn(data), into: &output)
            context.write(wrapOutboundOut(output), promise: promise)
        } catch {
            promise?.fail(error)
            fail(error, context: context)
        }
    }

    package func channelInactive(context: ChannelHandlerContext) {
        if state == .awaitingResponse { opened?.fail(ControlError.connectionClosed) }
        state = .closed
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        // A promise must not outlive its handler unfulfilled; a fulfilled one ignores this.
        opened?.fail(ControlError.connectionClosed)
        state = .closed
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if state == .awaitingResponse {
            fail(ControlError(mapping: error), context: context)
        } else {
            context.fireErrorCaught(error)
        }
    }

    private func fail(_ error: ControlError, context: ChannelHandlerContext) {
        guard state != .closed else { return }
        let wasOpen = state == .open
        state = .closed
        if wasOpen {
            context.fireErrorCaught(error)
        } else {
            opened?.fail(error)
        }
        context.close(promise: nil)
    }
}

package import NIOCore

/// Ends a connection whose reply has a head without end; NIO's decoder bounds header fields, but not the status line.
///
/// It sits in front of the decoder, and whoever sits behind the decoder tells it when the head has come.
package final class ResponseHeadGuard: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer

    private var byteCount = 0
    private var isHeadComplete = false

    /// A guard for one reply.
    package init() {}

    /// Tells that from here on the size is somebody else's business.
    package func headEnded() { isHeadComplete = true }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A read may hold more than the head, so only what came before it counts.
        guard isHeadComplete || byteCount <= TransportConstants.maximumHeaderByteCount else {
            isHeadComplete = true
            context.fireErrorCaught(TransportError.malformedReply)
            return context.close(promise: nil)
        }
        byteCount += unwrapInboundIn(data).readableBytes
        context.fireChannelRead(data)
    }
}

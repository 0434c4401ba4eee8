import NIOCore

/// Holds octets back while the HTTP handlers leave the pipeline.
///
/// NIO's response decoder also watches what is written and takes it for HTTP requests until it is gone: whoever answers an octet that it
/// forwards on its way out would be misread.
final class HandoverGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var held = ByteBuffer()

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var octets = unwrapInboundIn(data)
        held.writeBuffer(&octets)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        guard held.readableBytes > 0 else { return }
        context.fireChannelRead(wrapInboundOut(held))
        context.fireChannelReadComplete()
    }
}

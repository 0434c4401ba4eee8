import NIOCore

/// Cuts what arrives into lines and hands them on; a line beyond the limit closes the channel.
final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let limit: Int
    private var buffer = ByteBuffer()
    private var searched = 0

    /// Takes lines of at most `limit` octets.
    init(limit: Int) { self.limit = limit }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        if buffer.readableBytes == 0 { buffer.clear() }
        buffer.writeBuffer(&incoming)
        while let offset = buffer.readableBytesView.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) {
            let length = offset - buffer.readerIndex
            searched = 0
            guard let line = buffer.readSlice(length: length) else { break }
            buffer.moveReaderIndex(forwardBy: 1)
            context.fireChannelRead(wrapInboundOut(line))
        }
        searched = buffer.readableBytes
        if searched > limit {
            buffer = ByteBuffer()
            searched = 0
            context.close(promise: nil)
        } else if buffer.readerIndex > limit {
            buffer.discardReadBytes()
        }
    }
}

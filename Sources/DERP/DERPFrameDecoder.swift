package import NIOCore

/// Cuts a byte stream into frames.
package struct DERPFrameDecoder: Sendable {
    /// The largest payload that is accepted; smaller while a login runs.
    package var maximumByteCount: Int
    private var pending = ByteBuffer()

    /// A decoder at the beginning of a stream.
    package init(maximumByteCount: Int = DERPConstants.maximumFrameByteCount) {
        self.maximumByteCount = maximumByteCount
    }

    /// Takes octets of the stream.
    package mutating func append(_ octets: ByteBuffer) {
        var octets = octets
        if pending.readableBytes == 0 {
            pending = octets
        } else {
            pending.discardReadBytes()
            pending.writeBuffer(&octets)
        }
    }

    /// The next whole frame, or nil when octets are missing.
    /// - Throws: `.oversizedFrame` as soon as a length above the cap is announced.
    package mutating func next() throws(DERPError) -> DERPFrame? {
        guard let type: UInt8 = pending.getInteger(at: pending.readerIndex),
            let length = pending.getInteger(at: pending.readerIndex + 1, as: UInt32.self)
        else { return nil }
        guard length <= maximumByteCount else { throw .oversizedFrame }
        guard pending.readableBytes >= DERPConstants.frameHeaderByteCount + Int(length) else { return nil }
        pending.moveReaderIndex(forwardBy: DERPConstants.frameHeaderByteCount)
        guard let payload = pending.readSlice(length: Int(length)) else { return nil }
        if pending.readableBytes == 0 { pending = ByteBuffer() }
        return DERPFrame(type: DERPFrameType(rawValue: type), payload: payload)
    }

    /// Whether the stream could end here without cutting a frame.
    package var isAtBoundary: Bool { pending.readableBytes == 0 }
}

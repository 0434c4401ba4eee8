package import NIOCore
import NetTypes

/// Cuts the byte stream of QEMU's `stream` netdev into Ethernet frames.
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 4 | length of the frame, big-endian |
/// | 4 | … | the frame |
///
/// Frames are slices of what was read; only one that two reads share is copied.
package struct NICFrameDecoder: Sendable {
    private let maximumFrameByteCount: Int
    private var current = ByteBuffer()
    // The frame that the last read broke off, length included.
    private var partial = ByteBuffer()
    private var isPartialSpent = true
    private var failure: GuestNetworkError?

    /// A decoder at the beginning of a stream.
    package init(maximumFrameByteCount: Int = GuestNetworkConstants.maximumFrameByteCount) {
        self.maximumFrameByteCount = maximumFrameByteCount
    }

    /// Takes what was read; call `next` until it has no more before the next read.
    package mutating func append(_ bytes: consuming ByteBuffer) {
        if current.readableBytes == 0 {
            current = bytes
        } else {
            current.writeImmutableBuffer(bytes)
        }
    }

    /// The next whole frame, or nil when more must be read first.
    ///
    /// - Throws: `.frameTooLong`, `.emptyFrame`; the stream is lost then, and every further call throws again.
    package mutating func next() throws(GuestNetworkError) -> ByteBuffer? {
        if let failure { throw failure }
        if isPartialSpent {
            if let frame = try cut() { return frame }
            if current.readableBytes > 0 {
                partial.clear(minimumCapacity: GuestNetworkConstants.lengthByteCount)
                isPartialSpent = false
                partial.writeBuffer(&current)
            }
            // Dropped, so that whoever read it may use its memory again.
            current = ByteBuffer()
            return nil
        }
        guard fillPartial(to: GuestNetworkConstants.lengthByteCount) else { return nil }
        let byteCount = try frameByteCount(partial)
        guard fillPartial(to: GuestNetworkConstants.lengthByteCount + byteCount) else { return nil }
        partial.moveReaderIndex(forwardBy: GuestNetworkConstants.lengthByteCount)
        isPartialSpent = true
        return partial
    }

    private mutating func cut() throws(GuestNetworkError) -> ByteBuffer? {
        guard current.readableBytes >= GuestNetworkConstants.lengthByteCount else { return nil }
        let byteCount = try frameByteCount(current)
        guard current.readableBytes >= GuestNetworkConstants.lengthByteCount + byteCount else { return nil }
        current.moveReaderIndex(forwardBy: GuestNetworkConstants.lengthByteCount)
        return current.readSlice(length: byteCount)
    }

    private mutating func frameByteCount(_ buffer: ByteBuffer) throws(GuestNetworkError) -> Int {
        let byteCount = Int(buffer.readableBytesUInt8Span.bigEndian(at: 0, as: UInt32.self))
        if byteCount == 0 {
            failure = .emptyFrame
        } else if byteCount > maximumFrameByteCount {
            failure = .frameTooLong(byteCount: byteCount)
        }
        if let failure { throw failure }
        return byteCount
    }

    private mutating func fillPartial(to byteCount: Int) -> Bool {
        let missing = byteCount - partial.readableBytes
        if missing > 0 {
            guard var piece = current.readSlice(length: min(missing, current.readableBytes)) else { return false }
            partial.writeBuffer(&piece)
        }
        if current.readableBytes == 0 { current = ByteBuffer() }
        return partial.readableBytes >= byteCount
    }
}

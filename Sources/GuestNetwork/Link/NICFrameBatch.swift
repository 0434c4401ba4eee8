package import NIOCore
import NetTypes
package import NetWire

/// Frames for the guest, put behind each other as QEMU's `stream` netdev wants them, so that one write carries many.
package struct NICFrameBatch: Sendable {
    private var buffer: ByteBuffer
    private var isSpent = false
    private let maximumByteCount: Int

    /// An empty batch that refuses what would make it longer than `maximumByteCount`.
    package init(
        allocator: ByteBufferAllocator = ByteBufferAllocator(),
        maximumByteCount: Int = GuestNetworkDefaults.batchByteCount
    ) {
        buffer = allocator.buffer(capacity: 16 * 1024)
        self.maximumByteCount = maximumByteCount
    }

    /// Whether there is nothing to write.
    package var isEmpty: Bool { isSpent || buffer.readableBytes == 0 }

    /// Adds an Ethernet frame; false when the batch is full.
    @discardableResult
    package mutating func append(frame: Span<UInt8>) -> Bool {
        guard begin(frame.count) else { return false }
        buffer.writeBytes(frame.bytes)
        return true
    }

    /// Adds an IP packet behind an Ethernet header; false when the batch is full.
    @discardableResult
    package mutating func append(packet: Span<UInt8>, behind header: EthernetHeader) -> Bool {
        guard begin(EthernetHeader.byteCount + packet.count) else { return false }
        let start = buffer.readableBytes
        buffer.writeRepeatingByte(0, count: EthernetHeader.byteCount)
        var span = buffer.mutableReadableBytesSpan
        header.store(into: &span, at: start)
        buffer.writeBytes(packet.bytes)
        return true
    }

    /// Hands out what is to be written and begins anew; the memory is used again once it is written.
    package mutating func take() -> ByteBuffer {
        isSpent = true
        return buffer
    }

    /// Writes the length of a frame, if there is room for it.
    private mutating func begin(_ byteCount: Int) -> Bool {
        if isSpent {
            buffer.clear()
            isSpent = false
        }
        let start = buffer.readableBytes
        guard byteCount > 0, start + GuestNetworkConstants.lengthByteCount + byteCount <= maximumByteCount else {
            return false
        }
        buffer.writeRepeatingByte(0, count: GuestNetworkConstants.lengthByteCount)
        var span = buffer.mutableReadableBytesSpan
        span.store(bigEndian: UInt32(byteCount), at: start)
        return true
    }
}

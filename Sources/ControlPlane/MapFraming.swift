package import NIOCore

/// How the messages of a map stream are packed; the value of `MapRequest.Compress`.
package enum MapCompression: String, Equatable, Sendable {
    /// Raw JSON.
    case none = ""
    /// One zstd frame for each message.
    case zstd
}

/// Cuts the body of a map response into messages: `u32le length || octets`, repeated.
package struct MapFrameDecoder: Sendable {
    private let maximumByteCount: Int
    private var pending = ByteBuffer()

    /// A decoder at the beginning of a body that refuses messages beyond `maximumByteCount` octets.
    package init(maximumByteCount: Int = ControlDefaults.maximumMapByteCount) {
        self.maximumByteCount = maximumByteCount
    }

    /// Takes octets of the body.
    package mutating func append(_ body: ByteBuffer) {
        var body = body
        guard pending.readableBytes > 0 else {
            pending = body
            return
        }
        // What was read would otherwise stay allocated for the days that a poll lives.
        if pending.readerIndex > 64 << 10 { pending.discardReadBytes() }
        pending.writeBuffer(&body)
    }

    /// The next whole message as it was sent, or nil when octets are missing.
    /// - Throws: `.oversized` as soon as a length above the cap is announced.
    package mutating func next() throws(ControlError) -> ByteBuffer? {
        guard let length = pending.getInteger(at: pending.readerIndex, endianness: .little, as: UInt32.self) else {
            return nil
        }
        guard length <= maximumByteCount else { throw .oversized }
        guard pending.readableBytes >= 4 + Int(length) else { return nil }
        pending.moveReaderIndex(forwardBy: 4)
        defer { if pending.readableBytes == 0 { pending = ByteBuffer() } }
        return pending.readSlice(length: Int(length))
    }

    /// Tells that the body ended.
    /// - Throws: `.connectionClosed` when it ended inside a message.
    package func finish() throws(ControlError) {
        guard pending.readableBytes == 0 else { throw .connectionClosed }
    }

    /// The JSON of a message.
    /// - Throws: `.oversized` when it unfolds beyond the cap, `.malformedResponse` when it is not what was asked for.
    package static func unfold(
        _ message: ByteBuffer,
        compression: MapCompression,
        maximumByteCount: Int = ControlDefaults.maximumMapByteCount
    ) throws(ControlError) -> ByteBuffer {
        switch compression {
        case .none: message
        case .zstd: try Zstandard.decompress(message, limit: maximumByteCount)
        }
    }
}

/// Packs messages for the body of a map response.
package struct MapFrameEncoder: Sendable {
    /// How messages are packed.
    package let compression: MapCompression

    /// An encoder for what the client asked for.
    package init(compression: MapCompression) {
        self.compression = compression
    }

    /// One message with its length, ready to be written.
    package func encode(_ json: ByteBuffer) throws(ControlError) -> ByteBuffer {
        var message: ByteBuffer
        switch compression {
        case .none: message = json
        case .zstd: message = try Zstandard.compress(json)
        }
        guard let length = UInt32(exactly: message.readableBytes) else { throw .oversized }
        var frame = ByteBuffer()
        frame.reserveCapacity(4 + message.readableBytes)
        frame.writeInteger(length, endianness: .little)
        frame.writeBuffer(&message)
        return frame
    }
}

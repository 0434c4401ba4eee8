import CZstd
package import NIOCore

/// The zstd frames of map messages, through libzstd.
package enum Zstandard {
    /// Folds `plain` into one frame with content size and checksum; `level` is 1 (fast) to 19.
    package static func compress(_ plain: ByteBuffer, level: Int32 = 1) throws(ControlError) -> ByteBuffer {
        guard let context = ZSTD_createCCtx() else { throw .oversized }
        defer { ZSTD_freeCCtx(context) }
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        var result = ByteBuffer()
        var written = 0
        result.writeWithUnsafeMutableBytes(minimumWritableBytes: ZSTD_compressBound(plain.readableBytes)) { room in
            written = plain.withUnsafeReadableBytes { source in
                ZSTD_compress2(context, room.baseAddress, room.count, source.baseAddress, source.count)
            }
            return ZSTD_isError(written) == 0 ? written : 0
        }
        guard ZSTD_isError(written) == 0 else { throw .oversized }
        return result
    }

    /// Unfolds whole frames; the result grows with what really comes out, never with what a header announces.
    /// - Throws: `.oversized` beyond `limit` octets, `.malformedResponse` when it is not zstd or is cut short.
    package static func decompress(_ packed: ByteBuffer, limit: Int) throws(ControlError) -> ByteBuffer {
        guard packed.readableBytes > 0 else { throw .malformedResponse }
        guard let context = ZSTD_createDCtx() else { throw .oversized }
        defer { ZSTD_freeDCtx(context) }
        // A frame may ask for a window of its own size; beyond the limit its content could not be accepted anyway.
        let windowLog = Int32(max(10, Int.bitWidth - max(limit, 1).leadingZeroBitCount))
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, min(windowLog, 27))

        let chunkByteCount = ZSTD_DStreamOutSize()
        var result = ByteBuffer()
        var status = 0
        let fault: ControlError? = packed.withUnsafeReadableBytes { source in
            var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
            while true {
                var filled = 0
                result.writeWithUnsafeMutableBytes(minimumWritableBytes: chunkByteCount) { room in
                    var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
                    status = ZSTD_decompressStream(context, &output, &input)
                    filled = output.pos
                    return filled
                }
                guard ZSTD_isError(status) == 0 else { return .malformedResponse }
                guard result.readableBytes <= limit else { return .oversized }
                // Status 0 ends a frame; anything else with no input left and nothing new written is a cut frame.
                if input.pos == input.size, status == 0 { return nil }
                if input.pos == input.size, filled == 0 { return .malformedResponse }
            }
        }
        if let fault { throw fault }
        return result
    }
}

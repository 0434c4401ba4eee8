package import NIOCore
import NetTypes
package import WarrenCrypto

/// The records after the handshake, both directions.
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 1 | type 4 |
/// | 1 | 2 | length of the ciphertext, big-endian, at most 4093 |
/// | 3 | … | ciphertext and tag |
///
/// The nonce is four zero octets and a **big-endian** counter; the header is not authenticated. Any fault ends the connection, for the
/// counters of both sides are then out of step.
package struct ControlRecordLayer {
    private let sealer: TransportCipher
    private let opener: TransportCipher
    private var sealCounter: UInt64
    private var openCounter: UInt64
    private var pending = ByteBuffer()
    private var isBroken = false

    /// A layer at the beginning of both directions; counters may start elsewhere only to test exhaustion.
    package init(sealing: SecretBytes, opening: SecretBytes, sealCounter: UInt64 = 0, openCounter: UInt64 = 0) {
        sealer = TransportCipher(key: sealing, direction: .sealing, counterOrder: .bigEndian)
        opener = TransportCipher(key: opening, direction: .opening, counterOrder: .bigEndian)
        self.sealCounter = sealCounter
        self.openCounter = openCounter
    }

    /// Appends `plaintext` to `output` as records of at most 4096 octets; an empty plaintext makes no record.
    /// - Throws: `.invalidRecord` when the counter is used up.
    package mutating func seal(_ plaintext: ByteBuffer, into output: inout ByteBuffer) throws(ControlError) {
        let largest = ControlConstants.maximumPlaintextByteCount
        let overhead = ControlConstants.frameHeaderByteCount + ControlConstants.tagByteCount
        let records = (plaintext.readableBytes + largest - 1) / largest
        output.reserveCapacity(minimumWritableBytes: plaintext.readableBytes + records * overhead)
        var plaintext = plaintext
        while plaintext.readableBytes > 0 {
            // The largest counter is never used (Noise §5.1).
            guard sealCounter < .max else { throw .invalidRecord }
            let count = min(plaintext.readableBytes, largest)
            guard var chunk = plaintext.readSlice(length: count) else { return }
            output.writeInteger(ControlNoiseHandshake.FrameType.record)
            output.writeInteger(UInt16(count + ControlConstants.tagByteCount))
            let offset = output.readableBytes
            output.writeBuffer(&chunk)
            output.writeRepeatingByte(0, count: ControlConstants.tagByteCount)
            var span = output.mutableReadableBytesSpan
            sealer.sealInPlace(&span, at: offset, count: count, counter: sealCounter)
            sealCounter += 1
        }
    }

    /// Takes octets as they came from the network.
    package mutating func append(_ octets: ByteBuffer) {
        var octets = octets
        if pending.readableBytes == 0 {
            pending = octets
        } else {
            pending.discardReadBytes()
            pending.writeBuffer(&octets)
        }
    }

    /// The plaintext of the next whole record, possibly empty, or nil when octets are missing.
    /// - Throws: `.invalidRecord`, from then on always.
    package mutating func next() throws(ControlError) -> ByteBuffer? {
        guard !isBroken else { throw .invalidRecord }
        guard pending.readableBytes >= ControlConstants.frameHeaderByteCount,
            let type: UInt8 = pending.getInteger(at: pending.readerIndex),
            let length = pending.getInteger(at: pending.readerIndex + 1, as: UInt16.self).map(Int.init)
        else { return nil }
        guard type == ControlNoiseHandshake.FrameType.record,
            (ControlConstants.tagByteCount...ControlConstants.maximumCiphertextByteCount).contains(length),
            openCounter < .max
        else {
            isBroken = true
            throw .invalidRecord
        }
        guard pending.readableBytes >= ControlConstants.frameHeaderByteCount + length else { return nil }
        pending.moveReaderIndex(forwardBy: ControlConstants.frameHeaderByteCount)
        guard var record = pending.readSlice(length: length) else { return nil }
        if pending.readableBytes == 0 { pending = ByteBuffer() }
        var span = record.mutableReadableBytesSpan
        guard opener.openInPlace(&span, at: 0, count: length, counter: openCounter) else {
            isBroken = true
            throw .invalidRecord
        }
        openCounter += 1
        return record.readSlice(length: length - ControlConstants.tagByteCount)
    }
}

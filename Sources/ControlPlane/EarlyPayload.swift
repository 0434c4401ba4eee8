import FoundationEssentials
package import NIOCore
package import WarrenCrypto

/// The JSON that a server may send before its HTTP/2 preface.
package struct EarlyPayload: Codable, Equatable, Sendable {
    /// The key to which a client may seal its node key; no endpoint asks for that today.
    package var nodeKeyChallenge: ChallengePublicKey?

    /// A payload with this challenge.
    package init(nodeKeyChallenge: ChallengePublicKey?) {
        self.nodeKeyChallenge = nodeKeyChallenge
    }

    /// Magic, length and JSON, ready to be sealed into records.
    package func encoded() throws(ControlError) -> ByteBuffer {
        let json: [UInt8]
        do { json = [UInt8](try JSONEncoder().encode(self)) } catch { throw .malformedResponse }
        guard json.count <= ControlConstants.maximumEarlyPayloadByteCount else { throw .oversized }
        var buffer = ByteBuffer(bytes: ControlConstants.earlyPayloadMagic)
        buffer.writeInteger(UInt32(json.count))
        buffer.writeBytes(json)
        return buffer
    }
}

/// Takes an early payload out of the beginning of a decrypted stream, however the records split it.
///
/// The first nine octets decide: they are either the magic and a length, or the header of the first HTTP/2 frame.
package struct EarlyPayloadDetector: Sendable {
    private enum State { case deciding, reading(byteCount: Int), passing }

    private var state = State.deciding
    private var pending = ByteBuffer()

    /// The payload, once it was seen.
    package private(set) var payload: EarlyPayload?

    /// A detector at the beginning of a stream.
    package init() {}

    /// Takes decrypted octets and returns those that belong to HTTP/2, which may be none.
    /// - Throws: `.oversized` beyond 10 MiB, `.malformedResponse` when the payload is not JSON.
    package mutating func append(_ plaintext: ByteBuffer) throws(ControlError) -> ByteBuffer {
        if case .passing = state { return plaintext }
        var plaintext = plaintext
        pending.writeBuffer(&plaintext)
        if case .deciding = state {
            guard let head = pending.getBytes(at: pending.readerIndex, length: 9) else { return ByteBuffer() }
            guard Array(head[..<5]) == ControlConstants.earlyPayloadMagic else { return pass() }
            let byteCount = head[5...].reduce(0) { $0 << 8 | Int($1) }
            guard byteCount <= ControlConstants.maximumEarlyPayloadByteCount else { throw .oversized }
            pending.moveReaderIndex(forwardBy: 9)
            state = .reading(byteCount: byteCount)
        }
        guard case .reading(let byteCount) = state, let json = pending.readBytes(length: byteCount) else {
            return ByteBuffer()
        }
        do { payload = try JSONDecoder().decode(EarlyPayload.self, from: Data(json)) } catch {
            throw .malformedResponse
        }
        return pass()
    }

    /// Tells that the stream ended.
    /// - Throws: `.connectionClosed` when it ended before the decision or inside the payload.
    package func finish() throws(ControlError) {
        guard case .passing = state else { throw .connectionClosed }
    }

    private mutating func pass() -> ByteBuffer {
        state = .passing
        defer { pending = ByteBuffer() }
        return pending
    }
}

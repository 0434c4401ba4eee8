import NetTypes
package import WarrenCrypto

/// The sealed form of a disco message, as it travels by UDP and by DERP.
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 6 | magic `54 53 F0 9F 92 AC` |
/// | 6 | 32 | sender's disco public key |
/// | 38 | 24 | nonce |
/// | 62 | n + 16 | NaCl box of the payload |
package enum DiscoEnvelope {
    /// Everything before the box.
    package static let headerByteCount = 62
    /// What the envelope adds to a payload: header and authenticator.
    package static let overheadByteCount = headerByteCount + 16
    private static let keyOffset = 6
    private static let nonceOffset = 38

    /// Whether a datagram of at least magic and key begins like a disco packet.
    package static func hasMagic(_ packet: Span<UInt8>) -> Bool {
        // One comparison of two integers: this runs for every datagram that is received.
        packet.count >= 38 && packet.bigEndian(at: 0, as: UInt32.self) == 0x5453_F09F
            && packet.bigEndian(at: 4, as: UInt16.self) == 0x92AC
    }

    /// Whose key the packet claims to be sealed with; nil when it is no complete envelope.
    package static func sender(of packet: Span<UInt8>) -> DiscoPublicKey? {
        guard packet.count >= headerByteCount, hasMagic(packet) else { return nil }
        return DiscoPublicKey(packet, at: keyOffset)
    }

    /// Opens a packet with the box of its sender and parses what it says; nil for anything that is not authentic.
    package static func open(_ packet: Span<UInt8>, with box: NaClBox) -> DiscoMessage? {
        guard packet.count >= overheadByteCount, hasMagic(packet),
            let payload = box.open(packet.extracting(droppingFirst: nonceOffset))
        else { return nil }
        return try? DiscoMessage(parsing: payload.span)
    }

    /// Seals a message under a random nonce.
    package static func seal(_ message: DiscoMessage, from sender: DiscoPublicKey, with box: NaClBox) -> [UInt8] {
        let payload = Self.payload(of: message)
        return header(of: sender) + box.seal(payload.span)
    }

    /// The message in clear.
    static func payload(of message: DiscoMessage) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: message.byteCount) { buffer, count in
            var output = unsafe OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(buffer), initializedCount: 0)
            message.append(to: &output)
            count = unsafe output.finalize(for: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// What stands before the sealed part.
    static func header(of sender: DiscoPublicKey) -> [UInt8] {
        [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC] + sender.bytes
    }
}

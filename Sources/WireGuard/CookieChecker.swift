import NetTypes
import WarrenCrypto

/// Guards a node's handshakes: checks both codes of a message and makes cookie replies (WireGuard paper §5.4.4, §5.4.7).
///
/// A cookie reply:
///
/// | offset | octets | field |
/// | --- | --- | --- |
/// | 0 | 4 | type 3, little-endian |
/// | 4 | 4 | receiver index, little-endian |
/// | 8 | 24 | nonce |
/// | 32 | 32 | sealed cookie |
struct CookieChecker {
    private let mac1Key: Octets32
    private let cookieKey: Octets32
    private var secret: [UInt8] = []
    private var secretExpiresAt = MonotonicTime.zero

    /// A checker for the messages to the owner of `publicKey`.
    init(publicKey: NodePublicKey) {
        mac1Key = MessageKeys.mac1(publicKey)
        cookieKey = MessageKeys.cookie(publicKey)
    }

    /// Whether the message was made by somebody who knows our public key.
    func hasValidMAC1(_ message: Span<UInt8>) -> Bool {
        let end = message.count - MessageLength.macs
        let code = mac1Key.withSpan { BLAKE2s.mac(key: $0, message.extracting(0..<end)) }
        return ConstantTime.equal(code.span, message.extracting(end..<(end + 16)))
    }

    /// Whether the message bears the cookie that we gave to `source`.
    func hasValidMAC2(_ message: Span<UInt8>, source: [UInt8], now: MonotonicTime) -> Bool {
        guard now < secretExpiresAt else { return false }
        let end = message.count - 16
        let cookie = BLAKE2s.mac(key: secret.span, source.span)
        let code = BLAKE2s.mac(key: cookie.span, message.extracting(0..<end))
        return ConstantTime.equal(code.span, message.extracting(end..<message.count))
    }

    /// Answers `message` with a cookie for `source`.
    mutating func makeReply(
        to message: Span<UInt8>,
        source: [UInt8],
        now: MonotonicTime,
        generator: inout some RandomNumberGenerator
    ) throws(CryptoError) -> [UInt8] {
        if now >= secretExpiresAt {
            secret = generator.bytes(count: 32)
            secretExpiresAt = now + WireGuardConstants.cookieLifetime
        }
        let cookie = BLAKE2s.mac(key: secret.span, source.span)
        let nonce = generator.bytes(count: 24)
        let end = message.count - MessageLength.macs
        let sealed = try cookieKey.withSpan { key throws(CryptoError) in
            try XChaCha20Poly1305.seal(
                cookie.span,
                key: key,
                nonce: nonce.span,
                associatedData: message.extracting(end..<(end + 16))
            )
        }
        let index: UInt32 = message.littleEndian(at: 4)
        var reply = [UInt8](repeating: 0, count: 8)
        reply.store(littleEndian: MessageType.cookieReply, at: 0)
        reply.store(littleEndian: index, at: 4)
        return reply + nonce + sealed
    }
}

/// Adds both codes to the handshake messages for one peer, and keeps that peer's cookie.
struct CookieGenerator {
    private let mac1Key: Octets32
    private let cookieKey: Octets32
    private var lastMAC1: [UInt8] = []
    private var cookie: [UInt8] = []
    private var cookieExpiresAt = MonotonicTime.zero

    /// A generator for messages to the owner of `publicKey`.
    init(publicKey: NodePublicKey) {
        mac1Key = MessageKeys.mac1(publicKey)
        cookieKey = MessageKeys.cookie(publicKey)
    }

    /// Writes both codes into the last 32 octets of `message`.
    mutating func addMACs(to message: inout [UInt8], now: MonotonicTime) {
        let end = message.count - MessageLength.macs
        lastMAC1 = mac1Key.withSpan { BLAKE2s.mac(key: $0, message.span.extracting(0..<end)) }
        message.replaceSubrange(end..<(end + 16), with: lastMAC1)
        guard now < cookieExpiresAt else { return }
        let mac2 = BLAKE2s.mac(key: cookie.span, message.span.extracting(0..<(end + 16)))
        message.replaceSubrange((end + 16)..<message.count, with: mac2)
    }

    /// Takes the cookie out of a reply (64 octets) to our last message.
    mutating func consume(_ reply: Span<UInt8>, now: MonotonicTime) throws(CryptoError) {
        guard !lastMAC1.isEmpty else { throw .authenticationFailed }
        let mac1 = lastMAC1
        cookie = try cookieKey.withSpan { key throws(CryptoError) in
            try XChaCha20Poly1305.open(
                reply.extracting(32..<64),
                key: key,
                nonce: reply.extracting(8..<32),
                associatedData: mac1.span
            )
        }
        cookieExpiresAt = now + WireGuardConstants.cookieLifetime
    }
}

/// The keys that a node's public key yields for codes and cookies.
enum MessageKeys {
    /// The key of `mac1` in messages to the owner of `key`.
    static func mac1(_ key: NodePublicKey) -> Octets32 { hash(WireGuardConstants.mac1Label, key) }
    /// The key that seals cookies which the owner of `key` gives out.
    static func cookie(_ key: NodePublicKey) -> Octets32 { hash(WireGuardConstants.cookieLabel, key) }

    private static func hash(_ label: String, _ key: NodePublicKey) -> Octets32 {
        let label = Array(label.utf8)
        return key.octets.withSpan { BLAKE2s.hash(label.span, $0) }
    }
}

extension RandomNumberGenerator {
    /// Makes random octets, eight from each number.
    mutating func bytes(count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let word = next()
            for index in 0..<min(8, count - bytes.count) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(index * 8)))
            }
        }
        return bytes
    }
}

import NetTypes

/// Seals secrets at rest under one key of the installation, bound to the place they are stored in.
///
/// | offset | octets | field |
/// | --- | --- | --- |
/// | 0 | 1 | version, 1 |
/// | 1 | 24 | nonce, random |
/// | 25 | n + 16 | XChaCha20-Poly1305 ciphertext and tag |
package struct SecretBox: Sendable {
    /// The length of the key.
    package static let keyByteCount = XChaCha20Poly1305.keyByteCount
    /// By how much sealing lengthens a secret.
    package static let overheadByteCount = 1 + XChaCha20Poly1305.nonceByteCount + XChaCha20Poly1305.tagByteCount

    private static let version: UInt8 = 1
    private let key: SecretBytes

    /// Uses `key`, 32 octets; nil for any other length.
    package init?(key: SecretBytes) {
        guard key.count == Self.keyByteCount else { return nil }
        self.key = key
    }

    /// Seals `secret`; `associatedData` names its place, so that a row cannot be moved to another.
    package func seal(_ secret: Span<UInt8>, associatedData: Span<UInt8>) throws(CryptoError) -> [UInt8] {
        let nonce = RandomBytes.make(count: XChaCha20Poly1305.nonceByteCount)
        let sealed = try key.withSpan { key throws(CryptoError) in
            try XChaCha20Poly1305.seal(secret, key: key, nonce: nonce.span, associatedData: associatedData)
        }
        return [Self.version] + nonce + sealed
    }

    /// Opens what `seal` made for the same place.
    ///
    /// - Throws: `badLength` for something too short or of another version, `authenticationFailed` otherwise.
    package func open(_ sealed: Span<UInt8>, associatedData: Span<UInt8>) throws(CryptoError) -> SecretBytes {
        guard sealed.count >= Self.overheadByteCount, sealed[0] == Self.version else { throw .badLength }
        let nonceEnd = 1 + XChaCha20Poly1305.nonceByteCount
        let nonce = sealed.extracting(1..<nonceEnd)
        let body = sealed.extracting(nonceEnd..<sealed.count)
        var plaintext = try key.withSpan { key throws(CryptoError) in
            try XChaCha20Poly1305.open(body, key: key, nonce: nonce, associatedData: associatedData)
        }
        let secret = SecretBytes(copying: plaintext.span)
        for index in plaintext.indices { plaintext[index] = 0 }
        return secret
    }
}

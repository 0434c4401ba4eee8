import CSodium
import NetTypes

/// The running hash and chaining key of a Noise handshake, as ts2021 and WireGuard share them.
///
/// Every handshake message key seals one message under a zero nonce; the state is wiped when it goes.
package struct SymmetricState: ~Copyable {
    private var chainingKey: SecretBytes
    private var hash: Octets32
    private var messageKey: SecretBytes?

    /// Starts from the name of the protocol, which must be longer than 32 octets (Noise §5.2).
    package init(protocolName: String) {
        precondition(protocolName.utf8.count > BLAKE2s.byteCount)
        hash = BLAKE2s.hash(Array(protocolName.utf8).span)
        chainingKey = hash.withSpan { SecretBytes(copying: $0) }
    }

    private init(chainingKey: SecretBytes, hash: Octets32, messageKey: SecretBytes?) {
        (self.chainingKey, self.hash, self.messageKey) = (chainingKey, hash, messageKey)
    }

    /// The same state once more, so that a forged message can be tried without spoiling the handshake.
    package func duplicate() -> SymmetricState {
        SymmetricState(chainingKey: chainingKey, hash: hash, messageKey: messageKey)
    }

    /// The hash over everything so far; after the last message it binds other data to the channel.
    package var handshakeHash: Octets32 { hash }

    /// `MixHash`: hashes public octets into the transcript.
    package mutating func mixHash(_ bytes: Span<UInt8>) {
        hash = hash.withSpan { BLAKE2s.hash($0, bytes) }
    }

    /// `MixHash` of a public key.
    package mutating func mixHash(_ key: some PublicKey) {
        let octets = key.octets
        hash = hash.withSpan { hash in octets.withSpan { BLAKE2s.hash(hash, $0) } }
    }

    /// WireGuard's `KDF1` step: mixes octets into the chaining key alone.
    package mutating func mixChainingKey(_ input: Span<UInt8>) {
        chainingKey = chainingKey.withSpan { NoiseHKDF.derive(chainingKey: $0, input: input, outputCount: 1) }
    }

    /// `MixKey`: mixes octets into the chaining key and makes the key of the next message.
    package mutating func mixKey(_ input: Span<UInt8>) {
        let derived = chainingKey.withSpan { NoiseHKDF.derive(chainingKey: $0, input: input, outputCount: 2) }
        derived.withSpan { derived in
            chainingKey = SecretBytes(copying: derived.extracting(0..<32))
            messageKey = SecretBytes(copying: derived.extracting(32..<64))
        }
    }

    /// `MixKey` of a Diffie-Hellman result.
    ///
    /// - Throws: `lowOrderPoint` when that result is all zeros.
    package mutating func mixKey(
        _ privateKey: some PrivateKey,
        _ publicKey: some PublicKey
    ) throws(CryptoError) {
        let secret = try X25519.sharedSecret(privateKey: privateKey, publicKey: publicKey)
        secret.withSpan { mixKey($0) }
    }

    /// WireGuard's `KDF1` step over a Diffie-Hellman result.
    ///
    /// - Throws: `lowOrderPoint` when that result is all zeros.
    package mutating func mixChainingKey(
        _ privateKey: some PrivateKey,
        _ publicKey: some PublicKey
    ) throws(CryptoError) {
        let secret = try X25519.sharedSecret(privateKey: privateKey, publicKey: publicKey)
        secret.withSpan { mixChainingKey($0) }
    }

    /// `MixKeyAndHash`: mixes a pre-shared key (32 octets) into everything.
    package mutating func mixKeyAndHash(_ presharedKey: Span<UInt8>) {
        let derived = chainingKey.withSpan { NoiseHKDF.derive(chainingKey: $0, input: presharedKey, outputCount: 3) }
        derived.withSpan { derived in
            chainingKey = SecretBytes(copying: derived.extracting(0..<32))
            mixHash(derived.extracting(32..<64))
            messageKey = SecretBytes(copying: derived.extracting(64..<96))
        }
    }

    /// `EncryptAndHash`: seals `plaintext` under the key of the last `mixKey`, once; 16 octets longer.
    package mutating func encryptAndHash(_ plaintext: Span<UInt8>) -> [UInt8] {
        guard let key = messageKey.take() else { preconditionFailure("no message key: mixKey comes first") }
        let cipher = TransportCipher(key: key, direction: .sealing)
        var sealed = [UInt8](repeating: 0, count: plaintext.count + TransportCipher.tagByteCount)
        var elements = sealed.mutableSpan
        var output = unsafe elements.mutableBytes
        let hashed = hash
        hashed.withSpan { cipher.seal(plaintext, counter: 0, associatedData: $0, into: &output, at: 0) }
        mixHash(sealed.span)
        return sealed
    }

    /// `DecryptAndHash`: opens what the other side sealed with `encryptAndHash`.
    ///
    /// - Throws: `badLength` for something shorter than a tag, `authenticationFailed` otherwise.
    package mutating func decryptAndHash(_ sealed: Span<UInt8>) throws(CryptoError) -> [UInt8] {
        guard sealed.count >= TransportCipher.tagByteCount else { throw .badLength }
        guard let key = messageKey.take() else { preconditionFailure("no message key: mixKey comes first") }
        let cipher = TransportCipher(key: key, direction: .opening)
        var plaintext = [UInt8](repeating: 0, count: sealed.count - TransportCipher.tagByteCount)
        var elements = plaintext.mutableSpan
        var output = unsafe elements.mutableBytes
        let hashed = hash
        let opened = hashed.withSpan {
            cipher.open(sealed, counter: 0, associatedData: $0, into: &output, at: 0)
        }
        guard opened else { throw .authenticationFailed }
        mixHash(sealed)
        return plaintext
    }

    /// `Split`: the two transport keys, 32 octets each; the first seals what the initiator sends.
    package func split() -> (initiator: SecretBytes, responder: SecretBytes) {
        let derived = chainingKey.withSpan { NoiseHKDF.derive(chainingKey: $0, input: Span(), outputCount: 2) }
        return derived.withSpan { derived in
            (
                SecretBytes(copying: derived.extracting(0..<32)),
                SecretBytes(copying: derived.extracting(32..<64))
            )
        }
    }
}

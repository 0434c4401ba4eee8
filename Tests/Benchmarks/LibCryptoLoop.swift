import CLibCrypto

/// The least that sealing and opening with libcrypto can cost: one reused context and the calls it needs.
final class LibCryptoLoop {
    private let sealing: OpaquePointer
    private let opening: OpaquePointer
    private var counter: UInt64 = 0

    init(key: [UInt8]) {
        guard let cipher = EVP_CIPHER_fetch(nil, "ChaCha20-Poly1305", nil), let sealing = EVP_CIPHER_CTX_new(),
            let opening = EVP_CIPHER_CTX_new(), EVP_EncryptInit_ex2(sealing, cipher, key, nil, nil) == 1,
            EVP_DecryptInit_ex2(opening, cipher, key, nil, nil) == 1
        else { preconditionFailure("libcrypto has no ChaCha20-Poly1305") }
        (self.sealing, self.opening) = (sealing, opening)
    }

    deinit {
        EVP_CIPHER_CTX_free(sealing)
        EVP_CIPHER_CTX_free(opening)
    }

    /// Seals `count` octets in place; the tag follows them.
    func seal(_ buffer: UnsafeMutablePointer<UInt8>, count: Int) {
        var nonce = (UInt32(0), UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32))
        counter &+= 1
        var written: Int32 = 0
        withUnsafeBytes(of: &nonce) { nonce in
            _ = EVP_EncryptInit_ex2(
                sealing,
                nil,
                nil,
                nonce.baseAddress?.assumingMemoryBound(to: UInt8.self),
                nil
            )
        }
        _ = EVP_EncryptUpdate(sealing, buffer, &written, buffer, Int32(count))
        _ = EVP_EncryptFinal_ex(sealing, buffer + count, &written)
        _ = EVP_CIPHER_CTX_ctrl(sealing, EVP_CTRL_AEAD_GET_TAG, 16, buffer + count)
    }

    /// Opens `count` octets and the tag behind them in place; false when they are forged.
    func open(_ buffer: UnsafeMutablePointer<UInt8>, count: Int, counter: UInt64) -> Bool {
        var nonce = (UInt32(0), UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32))
        var written: Int32 = 0
        withUnsafeBytes(of: &nonce) { nonce in
            _ = EVP_DecryptInit_ex2(
                opening,
                nil,
                nil,
                nonce.baseAddress?.assumingMemoryBound(to: UInt8.self),
                nil
            )
        }
        _ = EVP_CIPHER_CTX_ctrl(opening, EVP_CTRL_AEAD_SET_TAG, 16, buffer + count)
        _ = EVP_DecryptUpdate(opening, buffer, &written, buffer, Int32(count))
        return EVP_DecryptFinal_ex(opening, buffer + count, &written) == 1
    }

    /// The counter of the next message that `seal` makes.
    var nextCounter: UInt64 { counter }
}

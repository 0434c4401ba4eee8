import CSodium

/// XChaCha20-Poly1305 with its random-friendly nonce of 24 octets.
package enum XChaCha20Poly1305 {
    /// The length of a key.
    package static let keyByteCount = 32
    /// The length of a nonce.
    package static let nonceByteCount = 24
    /// By how much sealing lengthens a message.
    package static let tagByteCount = 16

    /// Seals `plaintext`: the ciphertext followed by its tag.
    ///
    /// - Throws: `badLength` for a key or nonce of another length.
    package static func seal(
        _ plaintext: Span<UInt8>,
        key: Span<UInt8>,
        nonce: Span<UInt8>,
        associatedData: Span<UInt8>
    ) throws(CryptoError) -> [UInt8] {
        guard key.count == keyByteCount, nonce.count == nonceByteCount else { throw .badLength }
        CryptoLibraries.prepareSodium()
        var sealed = [UInt8](repeating: 0, count: plaintext.count + tagByteCount)
        unsafe sealed.withUnsafeMutableBufferPointer { output in
            unsafe plaintext.withUnsafeBufferPointer { plaintext in
                unsafe associatedData.withUnsafeBufferPointer { associated in
                    unsafe key.withUnsafeBufferPointer { key in
                        unsafe nonce.withUnsafeBufferPointer { nonce in
                            guard let target = output.baseAddress, let nonce = nonce.baseAddress,
                                let key = key.baseAddress
                            else { return }
                            _ = unsafe crypto_aead_xchacha20poly1305_ietf_encrypt(
                                target,
                                nil,
                                plaintext.baseAddress,
                                UInt64(plaintext.count),
                                associated.baseAddress,
                                UInt64(associated.count),
                                nil,
                                nonce,
                                key
                            )
                        }
                    }
                }
            }
        }
        return sealed
    }

    /// Opens what `seal` made.
    ///
    /// - Throws: `badLength` for a key or nonce of another length or a message shorter than a tag;
    ///   `authenticationFailed` when the message was not sealed so.
    package static func open(
        _ sealed: Span<UInt8>,
        key: Span<UInt8>,
        nonce: Span<UInt8>,
        associatedData: Span<UInt8>
    ) throws(CryptoError) -> [UInt8] {
        guard key.count == keyByteCount, nonce.count == nonceByteCount, sealed.count >= tagByteCount else {
            throw .badLength
        }
        CryptoLibraries.prepareSodium()
        var plaintext = [UInt8](repeating: 0, count: sealed.count - tagByteCount)
        var succeeded = false
        unsafe plaintext.withUnsafeMutableBufferPointer { output in
            unsafe sealed.withUnsafeBufferPointer { sealed in
                unsafe associatedData.withUnsafeBufferPointer { associated in
                    unsafe key.withUnsafeBufferPointer { key in
                        unsafe nonce.withUnsafeBufferPointer { nonce in
                            guard let source = sealed.baseAddress, let nonce = nonce.baseAddress,
                                let key = key.baseAddress
                            else { return }
                            let result = unsafe crypto_aead_xchacha20poly1305_ietf_decrypt(
                                output.baseAddress,
                                nil,
                                nil,
                                source,
                                UInt64(sealed.count),
                                associated.baseAddress,
                                UInt64(associated.count),
                                nonce,
                                key
                            )
                            succeeded = result == 0
                        }
                    }
                }
            }
        }
        guard succeeded else { throw .authenticationFailed }
        return plaintext
    }
}

import CSodium
import NetTypes

/// NaCl's `crypto_box` between two fixed keys, the shared key computed once.
///
/// A sealed message is the nonce (24 octets), the tag (16 octets) and the ciphertext.
package struct NaClBox: Sendable {
    /// By how much sealing lengthens a message: nonce and tag.
    package static let overheadByteCount = 40
    /// The length of a nonce.
    package static let nonceByteCount = 24

    private let sharedKey: SecretBytes

    /// Computes the shared key of our private and their public key.
    ///
    /// - Throws: `lowOrderPoint` when their key is none that anybody can hold.
    package init(precomputing privateKey: some PrivateKey, _ publicKey: some PublicKey) throws(CryptoError) {
        CryptoLibraries.prepareSodium()
        var succeeded = false
        sharedKey = unsafe SecretBytes(count: 32) { output in
            succeeded = unsafe privateKey.secretBytes.withPointer { scalar in
                unsafe publicKey.octets.withPointer { unsafe crypto_box_beforenm(output, $0, scalar) == 0 }
            }
        }
        guard succeeded else { throw .lowOrderPoint }
    }

    /// The precomputed key, 32 octets.
    package var precomputedKey: SecretBytes { sharedKey }

    /// Seals `plaintext` under a random nonce.
    package func seal(_ plaintext: Span<UInt8>) -> [UInt8] {
        seal(plaintext, nonce: RandomBytes.make(count: Self.nonceByteCount))
    }

    /// Seals `plaintext` under `nonce` (24 octets), which must never repeat for this pair of keys.
    package func seal(_ plaintext: Span<UInt8>, nonce: [UInt8]) -> [UInt8] {
        precondition(nonce.count == Self.nonceByteCount)
        var sealed = nonce
        sealed.append(contentsOf: repeatElement(0, count: plaintext.count + 16))
        unsafe sealed.withUnsafeMutableBufferPointer { output in
            guard let address = output.baseAddress else { return }
            unsafe plaintext.withUnsafeBufferPointer { plaintext in
                _ = unsafe sharedKey.withPointer { key in
                    unsafe crypto_box_easy_afternm(
                        address + Self.nonceByteCount,
                        plaintext.baseAddress ?? UnsafePointer(address),
                        UInt64(plaintext.count),
                        address,
                        key
                    )
                }
            }
        }
        return sealed
    }

    /// Opens a sealed message; nil when it is not one between these two keys.
    package func open(_ sealed: Span<UInt8>) -> [UInt8]? {
        guard sealed.count >= Self.overheadByteCount else { return nil }
        var plaintext = [UInt8](repeating: 0, count: sealed.count - Self.overheadByteCount)
        var succeeded = false
        unsafe plaintext.withUnsafeMutableBufferPointer { output in
            unsafe sealed.withUnsafeBufferPointer { sealed in
                guard let address = sealed.baseAddress else { return }
                var none: UInt8 = 0
                let result = unsafe withUnsafeMutablePointer(to: &none) { none in
                    unsafe sharedKey.withPointer { key in
                        unsafe crypto_box_open_easy_afternm(
                            output.baseAddress ?? none,
                            address + Self.nonceByteCount,
                            UInt64(sealed.count - Self.nonceByteCount),
                            address,
                            key
                        )
                    }
                }
                succeeded = result == 0
            }
        }
        return succeeded ? plaintext : nil
    }
}

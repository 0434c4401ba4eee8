import CSodium

/// Diffie-Hellman over Curve25519 (RFC 7748).
package enum X25519 {
    /// The shared secret of a private and a public key, 32 octets.
    ///
    /// - Throws: `lowOrderPoint` when the result would be all zeros.
    package static func sharedSecret(
        privateKey: some PrivateKey,
        publicKey: some PublicKey
    ) throws(CryptoError) -> SecretBytes {
        try sharedSecret(scalar: privateKey.secretBytes, point: publicKey.octets)
    }

    /// The shared secret of a scalar and a point, 32 octets.
    ///
    /// - Throws: `lowOrderPoint` when the result would be all zeros.
    package static func sharedSecret(scalar: SecretBytes, point: Octets32) throws(CryptoError) -> SecretBytes {
        CryptoLibraries.prepareSodium()
        var succeeded = false
        let secret = unsafe SecretBytes(count: 32) { output in
            succeeded = unsafe scalar.withPointer { scalar in
                unsafe point.withPointer { unsafe crypto_scalarmult(output, scalar, $0) == 0 }
            }
        }
        guard succeeded else { throw .lowOrderPoint }
        return secret
    }

    /// The public value of a scalar.
    static func publicValue(of scalar: SecretBytes) -> Octets32 {
        CryptoLibraries.prepareSodium()
        return unsafe Octets32.written { output in
            _ = unsafe scalar.withPointer { unsafe crypto_scalarmult_base(output, $0) }
        }
    }
}

import CSodium

/// The key derivation of Noise: HKDF (RFC 5869) over HMAC-BLAKE2s with empty info, WireGuard's `KDF1`…`KDF3`.
package enum NoiseHKDF {
    /// Derives `outputCount` values of 32 octets (1…3) from a chaining key and an input, concatenated.
    package static func derive(chainingKey: Span<UInt8>, input: Span<UInt8>, outputCount: Int) -> SecretBytes {
        precondition((1...3).contains(outputCount))
        let extracted = code(key: chainingKey, input, Span())
        return unsafe SecretBytes(count: 32 * outputCount) { output in
            extracted.withSpan { extracted in
                for round in 0..<outputCount {
                    let marker: InlineArray<1, UInt8> = [UInt8(round + 1)]
                    let previous =
                        unsafe round == 0
                        ? Span<UInt8>()
                        : Span(_unsafeStart: UnsafePointer(output + 32 * (round - 1)), count: 32)
                    unsafe CryptoLibraries.hmacBLAKE2s.authenticate(
                        key: extracted,
                        previous,
                        marker.span,
                        into: output + 32 * round,
                        byteCount: 32
                    )
                }
            }
        }
    }

    private static func code(key: Span<UInt8>, _ first: Span<UInt8>, _ second: Span<UInt8>) -> SecretBytes {
        unsafe SecretBytes(count: 32) { output in
            unsafe CryptoLibraries.hmacBLAKE2s.authenticate(key: key, first, second, into: output, byteCount: 32)
        }
    }
}

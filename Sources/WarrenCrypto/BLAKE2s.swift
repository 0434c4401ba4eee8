/// BLAKE2s (RFC 7693), plain, keyed and inside HMAC, as Noise and WireGuard use it.
package enum BLAKE2s {
    /// The length of a hash.
    package static let byteCount = 32
    /// The length of a keyed code.
    package static let macByteCount = 16

    /// The hash of `bytes`.
    package static func hash(_ bytes: Span<UInt8>) -> Octets32 {
        hash(bytes, Span())
    }

    /// The hash of `first` followed by `second`.
    package static func hash(_ first: Span<UInt8>, _ second: Span<UInt8>) -> Octets32 {
        unsafe Octets32.written { unsafe CryptoLibraries.blake2s.hash(first, second, into: $0) }
    }

    /// The 16-octet code of `bytes` under `key` (at most 32 octets), WireGuard's `MAC`.
    package static func mac(key: Span<UInt8>, _ bytes: Span<UInt8>) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: macByteCount)
        unsafe code.withUnsafeMutableBufferPointer { output in
            guard let address = output.baseAddress else { return }
            unsafe CryptoLibraries.blake2sMAC.authenticate(
                key: key,
                bytes,
                Span(),
                into: address,
                byteCount: macByteCount
            )
        }
        return code
    }

    /// HMAC-BLAKE2s of `bytes` under `key`.
    package static func hmac(key: Span<UInt8>, _ bytes: Span<UInt8>) -> [UInt8] {
        unsafe Octets32.written { output in
            unsafe CryptoLibraries.hmacBLAKE2s.authenticate(
                key: key,
                bytes,
                Span(),
                into: output,
                byteCount: byteCount
            )
        }.bytes
    }
}

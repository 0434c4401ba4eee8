import CLibCrypto
import NetTypes

/// SHA-256 (FIPS 180-4), whole or piece by piece.
@safe
package struct SHA256: ~Copyable {
    /// The length of a digest.
    package static let byteCount = 32

    private let context: OpaquePointer

    /// Starts an empty message.
    package init() {
        unsafe context = CryptoLibraries.sha256.makeContext()
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
    }

    /// Adds `bytes` to the message.
    package mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { part in
            _ = unsafe EVP_DigestUpdate(context, part.baseAddress, part.count)
        }
    }

    /// The digest of everything added.
    package consuming func finalize() -> [UInt8] {
        unsafe Octets32.written { _ = unsafe EVP_DigestFinal_ex(context, $0, nil) }.bytes
    }

    /// The digest of `bytes`.
    package static func hash(_ bytes: Span<UInt8>) -> [UInt8] {
        unsafe Octets32.written { unsafe CryptoLibraries.sha256.hash(bytes, Span(), into: $0) }.bytes
    }
}

/// HMAC-SHA256 (RFC 2104), the signature of webhooks.
package enum HMACSHA256 {
    /// The code of `bytes` under `key`, 32 octets.
    package static func authenticationCode(for bytes: Span<UInt8>, key: Span<UInt8>) -> [UInt8] {
        unsafe Octets32.written { output in
            unsafe CryptoLibraries.hmacSHA256.authenticate(key: key, bytes, Span(), into: output, byteCount: 32)
        }.bytes
    }

    /// Whether `code` is the code of `bytes`, in constant time.
    package static func isValid(_ code: Span<UInt8>, for bytes: Span<UInt8>, key: Span<UInt8>) -> Bool {
        ConstantTime.equal(code, authenticationCode(for: bytes, key: key).span)
    }
}

/// What the store keeps of an API token: its SHA-256, which is enough because tokens are random.
package struct TokenHash: Sendable {
    private let digest: Octets32

    /// Hashes a token.
    package init(of token: String) {
        let octets = Array(token.utf8)
        digest = unsafe Octets32.written { unsafe CryptoLibraries.sha256.hash(octets.span, Span(), into: $0) }
    }

    /// Takes the 32 octets of a stored hash; nil for any other length.
    package init?(bytes: [UInt8]) {
        guard let digest = Octets32(bytes: bytes) else { return nil }
        self.digest = digest
    }

    /// The 32 octets to store.
    package var bytes: [UInt8] { digest.bytes }
    /// The hash as 64 hex digits, fit for a look-up key.
    package var hex: String { digest.hex }

    /// Whether `token` is the hashed one, in constant time.
    package func matches(_ token: String) -> Bool {
        let other = TokenHash(of: token)
        return digest.withSpan { own in other.digest.withSpan { ConstantTime.equal(own, $0) } }
    }
}

import CLibCrypto
import CSodium

/// The two libraries behind the house's cryptography, made ready once per process.
enum CryptoLibraries {
    private static let sodiumIsReady: Bool = sodium_init() >= 0

    /// Makes libsodium choose its implementations; cheap after the first call.
    static func prepareSodium() {
        precondition(sodiumIsReady, "libsodium cannot start, most likely for want of a random source")
    }

    /// BLAKE2s with 32 octets of output.
    static let blake2s = FetchedDigest("BLAKE2S-256")
    /// SHA-256.
    static let sha256 = FetchedDigest("SHA2-256")
    /// ChaCha20-Poly1305 as in RFC 8439.
    static let chaCha20Poly1305 = FetchedCipher("ChaCha20-Poly1305")
    /// BLAKE2s keyed, 16 octets of output.
    static let blake2sMAC = MACTemplate(blake2sMACOf: 16)
    /// HMAC over BLAKE2s.
    static let hmacBLAKE2s = MACTemplate(hmacOver: "BLAKE2S-256")
    /// HMAC over SHA-256.
    static let hmacSHA256 = MACTemplate(hmacOver: "SHA2-256")
}

/// A digest algorithm that was looked up once: a look-up takes longer than hashing a short message.
///
/// `Sendable` because libcrypto never changes a fetched algorithm and counts its references atomically.
@safe
struct FetchedDigest: @unchecked Sendable {
    private let algorithm: OpaquePointer

    /// Looks `name` up; its absence means a broken libcrypto and ends the process.
    init(_ name: String) {
        guard let algorithm = unsafe EVP_MD_fetch(nil, name, nil) else {
            preconditionFailure("libcrypto has no digest \(name)")
        }
        unsafe self.algorithm = algorithm
    }

    /// Makes a context that hashes with this algorithm; the caller frees it.
    func makeContext() -> OpaquePointer {
        guard let context = unsafe EVP_MD_CTX_new(), unsafe EVP_DigestInit_ex2(context, algorithm, nil) == 1 else {
            preconditionFailure("libcrypto is out of memory")
        }
        return unsafe context
    }

    /// Hashes `first` and then `second` into `output`, which has room for the digest.
    func hash(_ first: Span<UInt8>, _ second: Span<UInt8>, into output: UnsafeMutablePointer<UInt8>) {
        let context = unsafe makeContext()
        defer { unsafe EVP_MD_CTX_free(context) }
        var succeeded = true
        unsafe first.withUnsafeBufferPointer { part in
            if unsafe EVP_DigestUpdate(context, part.baseAddress, part.count) != 1 { succeeded = false }
        }
        unsafe second.withUnsafeBufferPointer { part in
            if unsafe EVP_DigestUpdate(context, part.baseAddress, part.count) != 1 { succeeded = false }
        }
        if unsafe EVP_DigestFinal_ex(context, output, nil) != 1 { succeeded = false }
        precondition(succeeded, "libcrypto cannot hash")
    }
}

/// A cipher algorithm that was looked up once.
///
/// `Sendable` because libcrypto never changes a fetched algorithm and counts its references atomically.
@safe
struct FetchedCipher: @unchecked Sendable {
    private let algorithm: OpaquePointer

    /// Looks `name` up; its absence means a broken libcrypto and ends the process.
    init(_ name: String) {
        guard let algorithm = unsafe EVP_CIPHER_fetch(nil, name, nil) else {
            preconditionFailure("libcrypto has no cipher \(name)")
        }
        unsafe self.algorithm = algorithm
    }

    /// Makes a context that seals or opens under `key` (32 octets); the caller frees it.
    func makeContext(key: UnsafePointer<UInt8>, sealing: Bool) -> OpaquePointer {
        guard let context = unsafe EVP_CIPHER_CTX_new(),
            unsafe EVP_CipherInit_ex2(context, algorithm, key, nil, sealing ? 1 : 0, nil) == 1
        else { preconditionFailure("libcrypto is out of memory") }
        return unsafe context
    }
}

/// A MAC context with its parameters set and a throw-away key, copied for each message.
///
/// `Sendable` because the template is only ever read after `init`.
@safe
struct MACTemplate: @unchecked Sendable {
    private let context: OpaquePointer

    /// Keyed BLAKE2s with `byteCount` octets of output.
    init(blake2sMACOf byteCount: Int) {
        var size = byteCount
        let context = unsafe withUnsafeMutablePointer(to: &size) { size in
            unsafe Self.makeContext("BLAKE2SMAC", OSSL_PARAM_construct_size_t(Self.address("size"), size))
        }
        unsafe self.context = context
    }

    /// HMAC over the digest of this name.
    init(hmacOver digest: String) {
        var name = Array(digest.utf8CString)
        let context = unsafe name.withUnsafeMutableBufferPointer { name in
            unsafe Self.makeContext(
                "HMAC",
                OSSL_PARAM_construct_utf8_string(Self.address("digest"), name.baseAddress, 0)
            )
        }
        unsafe self.context = context
    }

    // A parameter keeps the address of its name, which a bridged String would not outlive.
    private static func address(_ name: StaticString) -> UnsafePointer<CChar> {
        unsafe UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    }

    private static func makeContext(_ name: String, _ parameter: OSSL_PARAM) -> OpaquePointer {
        let key = [UInt8](repeating: 0, count: 32)
        let parameters = unsafe [parameter, OSSL_PARAM_construct_end()]
        guard let algorithm = unsafe EVP_MAC_fetch(nil, name, nil), let context = unsafe EVP_MAC_CTX_new(algorithm),
            unsafe EVP_MAC_init(context, key, key.count, parameters) == 1
        else { preconditionFailure("libcrypto has no \(name)") }
        return unsafe context
    }

    /// Authenticates `first` and then `second` under `key` into `output`, which has room for the code.
    func authenticate(
        key: Span<UInt8>,
        _ first: Span<UInt8>,
        _ second: Span<UInt8>,
        into output: UnsafeMutablePointer<UInt8>,
        byteCount: Int
    ) {
        guard let copy = unsafe EVP_MAC_CTX_dup(context) else { preconditionFailure("libcrypto is out of memory") }
        defer { unsafe EVP_MAC_CTX_free(copy) }
        var succeeded = true
        unsafe key.withUnsafeBufferPointer { key in
            // A null key would mean "keep the old one", so an empty key needs an address.
            var none: UInt8 = 0
            let started = unsafe withUnsafePointer(to: &none) { none in
                unsafe EVP_MAC_init(copy, key.baseAddress ?? none, key.count, nil)
            }
            if started != 1 { succeeded = false }
        }
        unsafe first.withUnsafeBufferPointer { part in
            if unsafe EVP_MAC_update(copy, part.baseAddress, part.count) != 1 { succeeded = false }
        }
        unsafe second.withUnsafeBufferPointer { part in
            if unsafe EVP_MAC_update(copy, part.baseAddress, part.count) != 1 { succeeded = false }
        }
        var written = 0
        if unsafe EVP_MAC_final(copy, output, &written, byteCount) != 1 { succeeded = false }
        precondition(succeeded && written == byteCount, "libcrypto cannot authenticate")
    }
}

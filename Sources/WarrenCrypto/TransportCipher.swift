import CLibCrypto
import CSodium

/// ChaCha20-Poly1305 (RFC 8439) under one key in one direction, with one libcrypto context for its whole life.
///
/// The nonce is four zero octets and a 64-bit counter. Not `Sendable`: a cipher belongs to one event loop.
/// Nothing is allocated per message.
@safe
package final class TransportCipher {
    /// Whether a cipher makes or reads sealed messages.
    package enum Direction: Sendable {
        /// `seal` may be called.
        case sealing
        /// `open` may be called.
        case opening
    }

    /// How the counter lies in the nonce.
    package enum CounterOrder: Sendable {
        /// As in Noise and WireGuard.
        case littleEndian
        /// As in ts2021's records.
        case bigEndian
    }

    /// The length of a key.
    package static let keyByteCount = 32
    /// By how much sealing lengthens a message.
    package static let tagByteCount = 16

    private let context: OpaquePointer
    private let direction: Direction
    private let counterOrder: CounterOrder

    /// Makes a cipher for `key`, 32 octets.
    package init(key: SecretBytes, direction: Direction, counterOrder: CounterOrder = .littleEndian) {
        precondition(key.count == Self.keyByteCount)
        unsafe context = key.withPointer {
            unsafe CryptoLibraries.chaCha20Poly1305.makeContext(key: $0, sealing: direction == .sealing)
        }
        self.direction = direction
        self.counterOrder = counterOrder
    }

    deinit {
        // libcrypto wipes the key schedule here.
        unsafe EVP_CIPHER_CTX_free(context)
    }

    /// Seals `plaintext` into `output` at `offset`: as many octets, then the tag; traps when there is no room.
    package func seal(
        _ plaintext: Span<UInt8>,
        counter: UInt64,
        associatedData: Span<UInt8> = Span(),
        into output: inout MutableRawSpan,
        at offset: Int
    ) {
        let count = plaintext.count
        precondition(offset >= 0 && output.byteCount - offset >= count + Self.tagByteCount)
        unsafe output.withUnsafeMutableBytes { output in
            guard let target = unsafe output.baseAddress?.advanced(by: offset) else { return }
            unsafe plaintext.withUnsafeBytes { source in
                unsafe seal(source.baseAddress ?? UnsafeRawPointer(target), count, counter, associatedData, to: target)
            }
        }
    }

    /// Seals the `count` octets of `buffer` at `offset` where they are; the tag follows them.
    package func sealInPlace(
        _ buffer: inout MutableRawSpan,
        at offset: Int,
        count: Int,
        counter: UInt64,
        associatedData: Span<UInt8> = Span()
    ) {
        precondition(offset >= 0 && count >= 0 && buffer.byteCount - offset >= count + Self.tagByteCount)
        unsafe buffer.withUnsafeMutableBytes { buffer in
            guard let target = unsafe buffer.baseAddress?.advanced(by: offset) else { return }
            unsafe seal(UnsafeRawPointer(target), count, counter, associatedData, to: target)
        }
    }

    /// Opens `sealed` into `output` at `offset`, 16 octets less; false, with that room zeroed, when it is forged.
    package func open(
        _ sealed: Span<UInt8>,
        counter: UInt64,
        associatedData: Span<UInt8> = Span(),
        into output: inout MutableRawSpan,
        at offset: Int
    ) -> Bool {
        let count = sealed.count - Self.tagByteCount
        guard count >= 0 else { return false }
        precondition(offset >= 0 && output.byteCount - offset >= count)
        // An empty output span may have no address, and libcrypto takes none for associated data.
        var none: UInt8 = 0
        return unsafe withUnsafeMutableBytes(of: &none) { none in
            unsafe output.withUnsafeMutableBytes { output in
                unsafe sealed.withUnsafeBytes { source in
                    guard let sealed = source.baseAddress,
                        let target = unsafe output.baseAddress?.advanced(by: offset) ?? none.baseAddress
                    else { return false }
                    return unsafe open(sealed, count, counter, associatedData, to: target)
                }
            }
        }
    }

    /// Opens the `count` octets (tag included) of `buffer` at `offset` where they are; false, with them zeroed,
    /// when they are forged.
    package func openInPlace(
        _ buffer: inout MutableRawSpan,
        at offset: Int,
        count: Int,
        counter: UInt64,
        associatedData: Span<UInt8> = Span()
    ) -> Bool {
        guard count >= Self.tagByteCount else { return false }
        precondition(offset >= 0 && buffer.byteCount - offset >= count)
        return unsafe buffer.withUnsafeMutableBytes { buffer in
            guard let target = unsafe buffer.baseAddress?.advanced(by: offset) else { return false }
            return unsafe open(
                UnsafeRawPointer(target),
                count - Self.tagByteCount,
                counter,
                associatedData,
                to: target
            )
        }
    }

    private func nonceWords(_ counter: UInt64) -> (UInt32, UInt32, UInt32) {
        let stored = counterOrder == .littleEndian ? counter.littleEndian : counter.bigEndian
        return (0, UInt32(truncatingIfNeeded: stored), UInt32(truncatingIfNeeded: stored >> 32))
    }

    private func start(_ counter: UInt64, _ associatedData: Span<UInt8>) -> Bool {
        var nonce = nonceWords(counter)
        let started = unsafe withUnsafeBytes(of: &nonce) { nonce in
            unsafe EVP_CipherInit_ex2(
                context,
                nil,
                nil,
                nonce.baseAddress?.assumingMemoryBound(to: UInt8.self),
                direction == .sealing ? 1 : 0,
                nil
            )
        }
        guard started == 1 else { return false }
        guard associatedData.count > 0 else { return true }
        return unsafe associatedData.withUnsafeBufferPointer { associated in
            var written: Int32 = 0
            return unsafe EVP_CipherUpdate(context, nil, &written, associated.baseAddress, Int32(associated.count)) == 1
        }
    }

    private func seal(
        _ source: UnsafeRawPointer,
        _ count: Int,
        _ counter: UInt64,
        _ associatedData: Span<UInt8>,
        to target: UnsafeMutableRawPointer
    ) {
        precondition(direction == .sealing)
        // The context must outlive the calls, though only its address is used from here on.
        defer { withExtendedLifetime(self) {} }
        let output = unsafe target.assumingMemoryBound(to: UInt8.self)
        var written: Int32 = 0
        var succeeded = start(counter, associatedData)
        if count > 0 {
            let source = unsafe source.assumingMemoryBound(to: UInt8.self)
            succeeded = unsafe EVP_EncryptUpdate(context, output, &written, source, Int32(count)) == 1 && succeeded
        }
        succeeded = unsafe EVP_EncryptFinal_ex(context, output + count, &written) == 1 && succeeded
        succeeded =
            unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagByteCount), output + count) == 1
            && succeeded
        precondition(succeeded, "libcrypto cannot seal")
    }

    private func open(
        _ source: UnsafeRawPointer,
        _ count: Int,
        _ counter: UInt64,
        _ associatedData: Span<UInt8>,
        to target: UnsafeMutableRawPointer
    ) -> Bool {
        precondition(direction == .opening)
        defer { withExtendedLifetime(self) {} }
        let output = unsafe target.assumingMemoryBound(to: UInt8.self)
        let source = unsafe source.assumingMemoryBound(to: UInt8.self)
        var written: Int32 = 0
        var succeeded = start(counter, associatedData)
        // libcrypto only reads the tag, though its parameter is not declared const.
        let tag = unsafe UnsafeMutablePointer(mutating: source + count)
        succeeded =
            unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagByteCount), tag) == 1 && succeeded
        if count > 0 {
            succeeded = unsafe EVP_DecryptUpdate(context, output, &written, source, Int32(count)) == 1 && succeeded
        }
        var rest: Int32 = 0
        succeeded = unsafe EVP_DecryptFinal_ex(context, output + count, &rest) == 1 && succeeded
        // Unauthenticated plaintext must not stay where a caller could mistake it for a message.
        if !succeeded { unsafe sodium_memzero(target, count) }
        return succeeded
    }
}

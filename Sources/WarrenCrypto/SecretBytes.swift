import CSodium
import NetTypes

/// Octets that nobody may learn: never copied by copying the reference, and wiped when the last reference goes.
///
/// `Sendable` because the octets never change once `init` returned.
@safe
package final class SecretBytes: @unchecked Sendable {
    private let storage: UnsafeMutableBufferPointer<UInt8>

    /// Copies `bytes`; wiping the source is the caller's affair.
    package init(copying bytes: Span<UInt8>) {
        unsafe storage = .allocate(capacity: max(bytes.count, 1))
        unsafe storage.initialize(repeating: 0)
        count = bytes.count
        for index in bytes.indices { unsafe storage[index] = bytes[index] }
    }

    /// Makes room for `count` octets and lets `body` write them.
    init<Failure: Error>(
        count: Int,
        writtenBy body: (UnsafeMutablePointer<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        let storage = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(count, 1))
        unsafe storage.initialize(repeating: 0)
        unsafe self.storage = storage
        self.count = count
        if let address = storage.baseAddress { try unsafe body(address) }
    }

    /// Makes `count` random octets.
    package convenience init(randomCount count: Int) {
        CryptoLibraries.prepareSodium()
        unsafe self.init(count: count) { unsafe randombytes_buf($0, count) }
    }

    deinit {
        unsafe sodium_memzero(storage.baseAddress, storage.count)
        unsafe storage.deallocate()
    }

    /// How many octets there are.
    package let count: Int

    /// Lends the octets to `body`.
    package func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // Else the octets could be wiped under `body`, as nothing but their address is used from here on.
        try withExtendedLifetime(self) { () throws(Failure) -> Result in
            try body(unsafe Span(_unsafeElements: UnsafeBufferPointer(storage)).extracting(0..<count))
        }
    }

    /// Lends the address of the octets to a C function.
    func withPointer<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        guard let address = unsafe storage.baseAddress else { preconditionFailure("no storage") }
        return withExtendedLifetime(self) { unsafe body(UnsafePointer(address)) }
    }

    /// An unprotected copy, for sealing into the store and for tests.
    package var bytes: [UInt8] { withSpan { $0.array } }

    /// Whether both hold the same octets, in constant time.
    package func isEqual(to other: SecretBytes) -> Bool {
        withSpan { own in other.withSpan { ConstantTime.equal(own, $0) } }
    }
}

extension SecretBytes: CustomStringConvertible {
    /// A placeholder: secrets stay out of logs.
    package var description: String { "<\(count) secret octets>" }
}

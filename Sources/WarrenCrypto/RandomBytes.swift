import CSodium

/// Unpredictable octets from the operating system, by way of libsodium.
package enum RandomBytes {
    /// Makes `count` random octets.
    package static func make(count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var elements = bytes.mutableSpan
        var octets = unsafe elements.mutableBytes
        fill(&octets)
        return bytes
    }

    /// Fills all of `span`.
    package static func fill(_ span: inout MutableRawSpan) {
        CryptoLibraries.prepareSodium()
        unsafe span.withUnsafeMutableBytes { octets in
            if let address = octets.baseAddress { unsafe randombytes_buf(address, octets.count) }
        }
    }
}

/// The cryptographic random number generator that pure types take as a parameter.
package struct SecureRandomNumberGenerator: RandomNumberGenerator, Sendable {
    /// A generator; all of them share the operating system's source.
    package init() {
        CryptoLibraries.prepareSodium()
    }

    /// The next eight random octets.
    package mutating func next() -> UInt64 {
        UInt64(randombytes_random()) << 32 | UInt64(randombytes_random())
    }
}

import CSodium

/// Comparison whose duration tells nothing about the octets compared.
package enum ConstantTime {
    /// Whether both spans hold the same octets; only their lengths may leak.
    package static func equal(_ first: Span<UInt8>, _ second: Span<UInt8>) -> Bool {
        guard first.count == second.count else { return false }
        guard first.count > 0 else { return true }
        return unsafe first.withUnsafeBufferPointer { first in
            unsafe second.withUnsafeBufferPointer { second in
                guard let left = first.baseAddress, let right = second.baseAddress else { return false }
                return unsafe sodium_memcmp(left, right, first.count) == 0
            }
        }
    }
}

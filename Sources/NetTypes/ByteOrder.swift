// Byte order lives here and nowhere else.

extension Span where Element == UInt8 {
    /// Reads a big-endian integer at `offset`; traps beyond the span, so check the length first.
    @inlinable
    package func bigEndian<T: FixedWidthInteger & UnsignedInteger>(at offset: Int, as type: T.Type = T.self) -> T {
        var value: T = 0
        for index in 0..<(T.bitWidth / 8) {
            value = (value &<< 8) | T(truncatingIfNeeded: self[offset &+ index])
        }
        return value
    }

    /// Reads a little-endian integer at `offset`; traps beyond the span, so check the length first.
    @inlinable
    package func littleEndian<T: FixedWidthInteger & UnsignedInteger>(at offset: Int, as type: T.Type = T.self) -> T {
        bigEndian(at: offset, as: type).byteSwapped
    }

    /// The octets as an array, for cold paths and tests.
    package var array: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        for index in indices { result.append(self[index]) }
        return result
    }

    /// Whether the span begins with `prefix`.
    @inlinable
    package func starts(with prefix: Span<UInt8>) -> Bool {
        guard count >= prefix.count else { return false }
        for index in prefix.indices where self[index] != prefix[index] { return false }
        return true
    }
}

extension MutableRawSpan {
    /// Stores a big-endian integer at `offset`; traps beyond the span.
    @inlinable
    package mutating func store<T: FixedWidthInteger & BitwiseCopyable>(bigEndian value: T, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
    }

    /// Stores a little-endian integer at `offset`; traps beyond the span.
    @inlinable
    package mutating func store<T: FixedWidthInteger & BitwiseCopyable>(littleEndian value: T, at offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }

    /// Copies `source` to `offset`; traps when it does not fit.
    @inlinable
    package mutating func store(_ source: Span<UInt8>, at offset: Int) {
        precondition(offset >= 0 && offset <= byteCount && source.count <= byteCount - offset)
        // One copy of memory: octet by octet costs more than sealing the packet does.
        unsafe source.withUnsafeBytes { from in
            unsafe withUnsafeMutableBytes { to in
                unsafe UnsafeMutableRawBufferPointer(rebasing: to[offset...]).copyMemory(from: from)
            }
        }
    }
}

extension OutputRawSpan {
    /// Appends a big-endian integer; traps when there is no room.
    @inlinable
    package mutating func append<T: FixedWidthInteger & UnsignedInteger>(bigEndian value: T) {
        var shift = T.bitWidth
        while shift > 0 {
            shift -= 8
            append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }

    /// Appends a little-endian integer; traps when there is no room.
    @inlinable
    package mutating func append<T: FixedWidthInteger & UnsignedInteger>(littleEndian value: T) {
        append(bigEndian: value.byteSwapped)
    }

    /// Appends `source`; traps when there is no room.
    @inlinable
    package mutating func append(contentsOf source: Span<UInt8>) {
        precondition(source.count <= freeCapacity)
        unsafe source.withUnsafeBytes { from in
            unsafe withUnsafeMutableBytes { to, count in
                unsafe UnsafeMutableRawBufferPointer(rebasing: to[count...]).copyMemory(from: from)
                count += from.count
            }
        }
    }
}

extension [UInt8] {
    /// Appends a big-endian integer, for messages off the packet path.
    @inlinable
    package mutating func append<T: FixedWidthInteger & UnsignedInteger>(bigEndian value: T) {
        var shift = T.bitWidth
        while shift > 0 {
            shift -= 8
            append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }
}

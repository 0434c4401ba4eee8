/// The CRC-32 of IEEE 802.3, bit by bit: short messages do not earn a table.
struct CRC32 {
    private var register: UInt32 = 0xFFFF_FFFF

    /// Adds one octet.
    mutating func add(octet: UInt8) {
        register ^= UInt32(octet)
        for _ in 0..<8 {
            register = register & 1 == 1 ? register >> 1 ^ 0xEDB8_8320 : register >> 1
        }
    }

    /// Adds the octets of an integer in network order.
    mutating func add<T: FixedWidthInteger & UnsignedInteger>(_ value: T) {
        for shift in stride(from: T.bitWidth - 8, through: 0, by: -8) {
            add(octet: UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }

    /// The finished checksum.
    var value: UInt32 { ~register }
}

package import NetTypes

/// An ARP packet for IPv4 over Ethernet (RFC 826).
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 2 | hardware type, 1 |
/// | 2 | 2 | protocol type, 0x0800 |
/// | 4 | 1 | hardware address length, 6 |
/// | 5 | 1 | protocol address length, 4 |
/// | 6 | 2 | operation |
/// | 8 | 6 | sender hardware address |
/// | 14 | 4 | sender protocol address |
/// | 18 | 6 | target hardware address |
/// | 24 | 4 | target protocol address |
package struct ARPPacket: Equatable, Sendable {
    /// 28 octets; Ethernet pads the frame beyond them.
    package static let byteCount = 28

    /// What the sender wants; unknown numbers survive.
    package struct Operation: RawRepresentable, Hashable, Sendable {
        /// The number on the wire.
        package let rawValue: UInt16

        /// Takes any number.
        package init(rawValue: UInt16) {
            self.rawValue = rawValue
        }

        /// Asks who has the target address.
        package static let request = Operation(rawValue: 1)
        /// Says that the sender has it.
        package static let reply = Operation(rawValue: 2)
    }

    /// Request, reply or another number.
    package var operation: Operation
    /// The hardware address of the sender.
    package var senderHardwareAddress: MACAddress
    /// The IPv4 address of the sender; unspecified in a probe (RFC 5227).
    package var senderAddress: IPv4Address
    /// The hardware address of the target; without meaning in a request.
    package var targetHardwareAddress: MACAddress
    /// The IPv4 address asked for.
    package var targetAddress: IPv4Address

    /// A packet of these fields.
    package init(
        operation: Operation,
        senderHardwareAddress: MACAddress,
        senderAddress: IPv4Address,
        targetHardwareAddress: MACAddress,
        targetAddress: IPv4Address
    ) {
        self.operation = operation
        self.senderHardwareAddress = senderHardwareAddress
        self.senderAddress = senderAddress
        self.targetHardwareAddress = targetHardwareAddress
        self.targetAddress = targetAddress
    }

    /// Reads a packet; padding behind it is tolerated.
    ///
    /// - Throws: `.truncated`; `.unsupported` for other hardware or protocols than Ethernet and IPv4.
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.byteCount else { throw .truncated }
        guard bytes.bigEndian(at: 0, as: UInt64.self) >> 16 == 0x0001_0800_0604 else { throw .unsupported }
        operation = Operation(rawValue: bytes.bigEndian(at: 6))
        senderHardwareAddress = MACAddress(bytes, at: 8)
        senderAddress = IPv4Address(bytes, at: 14)
        targetHardwareAddress = MACAddress(bytes, at: 18)
        targetAddress = IPv4Address(bytes, at: 24)
    }

    /// Writes 28 octets at `offset`.
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        span.store(bigEndian: UInt64(0x0001_0800_0604) << 16 | UInt64(operation.rawValue), at: offset)
        senderHardwareAddress.store(into: &span, at: offset + 8)
        senderAddress.store(into: &span, at: offset + 14)
        targetHardwareAddress.store(into: &span, at: offset + 18)
        targetAddress.store(into: &span, at: offset + 24)
    }
}

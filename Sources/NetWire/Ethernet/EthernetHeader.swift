package import NetTypes

/// The untagged Ethernet II header before every frame of the guest's NIC.
///
/// | offset | octets | field |
/// |---|---|---|
/// | 0 | 6 | destination |
/// | 6 | 6 | source |
/// | 12 | 2 | EtherType, big-endian |
package struct EthernetHeader: Equatable, Sendable {
    /// 14 octets.
    @inlinable package static var byteCount: Int { 14 }

    /// Who the frame is for.
    package var destination: MACAddress
    /// Who sent it.
    package var source: MACAddress
    /// What follows the header.
    package var etherType: EtherType

    /// A header of these fields.
    @inlinable
    package init(destination: MACAddress, source: MACAddress, etherType: EtherType) {
        self.destination = destination
        self.source = source
        self.etherType = etherType
    }

    /// Reads the first 14 octets of a frame.
    ///
    /// - Throws: `.truncated`.
    @inlinable
    package init(parsing bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.byteCount else { throw .truncated }
        destination = MACAddress(bytes, at: 0)
        source = MACAddress(bytes, at: 6)
        etherType = EtherType(rawValue: bytes.bigEndian(at: 12))
    }

    /// Writes 14 octets at `offset`.
    @inlinable
    package func store(into span: inout MutableRawSpan, at offset: Int) {
        destination.store(into: &span, at: offset)
        source.store(into: &span, at: offset &+ 6)
        span.store(bigEndian: etherType.rawValue, at: offset &+ 12)
    }
}

import NetTypes
import NetWire
import Testing

/// Packets whose transport checksums are right.
enum SegmentSizePackets {
    static func syn(_ source: String, _ destination: String, size: UInt16, leadingNoOperations: Int) throws -> [UInt8] {
        var options: [UInt8] = [UInt8](repeating: 1, count: leadingNoOperations)
        options += [2, 4, UInt8(size >> 8), UInt8(size & 255)]
        options += [UInt8](repeating: 0, count: 8 - options.count)
        let header: [UInt8] = [0x9C, 0x40, 0, 22, 0, 0, 0, 7, 0, 0, 0, 0, 0x70, 2, 0xFF, 0xFF, 0, 0, 0, 0]
        return try withChecksum(try TestPackets.packet(.tcp, source, destination, payload: header + options), at: 16)
    }

    static func size(in packet: [UInt8], leadingNoOperations: Int) throws -> UInt16 {
        let place = try ParsedPacket(parsing: packet).transportOffset + 22 + leadingNoOperations
        return UInt16(packet[place]) << 8 | UInt16(packet[place + 1])
    }

    static func isChecksumRight(_ packet: [UInt8]) throws -> Bool { try sum(packet) == 0 }

    /// What a host answers to an echo request.
    static func echoReply(to request: [UInt8]) throws -> [UInt8] {
        let parsed = try ParsedPacket(parsing: request)
        let payload = Array(request[parsed.transportOffset...])
        let reply = try TestPackets.packet(
            parsed.ipProtocol,
            "\(parsed.destination)",
            "\(parsed.source)",
            payload: [parsed.isICMPv4 ? 0 : 129, 0, 0, 0] + payload[4...]
        )
        return try withChecksum(reply, at: 2)
    }

    private static func withChecksum(_ packet: [UInt8], at offset: Int) throws -> [UInt8] {
        var packet = packet
        let value = try sum(packet)
        let place = try ParsedPacket(parsing: packet).transportOffset + offset
        packet[place] = UInt8(value >> 8)
        packet[place + 1] = UInt8(value & 255)
        return packet
    }

    private static func sum(_ packet: [UInt8]) throws -> UInt16 {
        let parsed = try ParsedPacket(parsing: packet)
        var checksum = InternetChecksum()
        if !parsed.isICMPv4 {
            switch (parsed.source, parsed.destination) {
            case (.v4(let source), .v4(let destination)):
                checksum.add(source)
                checksum.add(destination)
            case (.v6(let source), .v6(let destination)):
                checksum.add(source)
                checksum.add(destination)
            default: Issue.record("the families differ")
            }
            checksum.add(word: UInt16(parsed.transportByteCount))
            checksum.add(word: UInt16(parsed.ipProtocol.rawValue))
        }
        checksum.add(Array(packet[parsed.transportOffset...]).span)
        return checksum.value
    }
}

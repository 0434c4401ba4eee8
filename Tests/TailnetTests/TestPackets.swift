import NetTypes
import NetWire
import Tailnet
import Testing

/// SplitMix64, so that runs repeat.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// IP packets as a peer or the guest would send them; transport checksums are zero.
enum TestPackets {
    static func packet(
        _ ipProtocol: IPProtocol,
        _ source: String,
        _ destination: String,
        payload: [UInt8],
        fragmentOffset: Int = 0,
        moreFragments: Bool = false
    ) throws -> [UInt8] {
        var octets: [UInt8]
        switch (try #require(IPAddress(source)), try #require(IPAddress(destination))) {
        case (.v4(let source), .v4(let destination)):
            var header = IPv4Header(
                ipProtocol: ipProtocol,
                source: source,
                destination: destination,
                payloadByteCount: payload.count
            )
            header.fragmentOffset = fragmentOffset
            header.moreFragments = moreFragments
            octets = [UInt8](repeating: 0, count: IPv4Header.byteCount)
            var elements = octets.mutableSpan
            var span = elements.mutableBytes
            header.store(into: &span, at: 0)
        case (.v6(let source), .v6(let destination)):
            let header = IPv6Header(
                nextHeader: ipProtocol,
                source: source,
                destination: destination,
                payloadByteCount: payload.count
            )
            octets = [UInt8](repeating: 0, count: IPv6Header.byteCount)
            var elements = octets.mutableSpan
            var span = elements.mutableBytes
            header.store(into: &span, at: 0)
        default:
            Issue.record("the families differ")
            return []
        }
        return octets + payload
    }

    private static func ports(_ source: UInt16, _ destination: UInt16) -> [UInt8] {
        [UInt8(source >> 8), UInt8(source & 255), UInt8(destination >> 8), UInt8(destination & 255)]
    }

    static func tcp(_ source: String, _ destination: String, port: UInt16, flags: TCPFlags = .syn) throws -> [UInt8] {
        let rest: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags.rawValue, 0, 0, 0, 0, 0, 0]
        return try packet(.tcp, source, destination, payload: ports(40000, port) + rest)
    }

    static func udp(_ source: AddressPort, _ destination: AddressPort) throws -> [UInt8] {
        try packet(
            .udp,
            source.address.description,
            destination.address.description,
            payload: ports(source.port, destination.port) + [0, 8, 0, 0]
        )
    }

    static func udp(_ source: String, _ destination: String) throws -> [UInt8] {
        try udp(try #require(AddressPort(source)), try #require(AddressPort(destination)))
    }

    static func sctp(_ source: String, _ destination: String, port: UInt16) throws -> [UInt8] {
        try packet(.sctp, source, destination, payload: ports(40000, port) + [UInt8](repeating: 0, count: 8))
    }

    static func icmp(_ source: String, _ destination: String, type: UInt8, code: UInt8 = 0, count: Int = 8) throws
        -> [UInt8]
    {
        let isIPv4 = try #require(IPAddress(source)).isIPv4
        return try packet(
            isIPv4 ? .icmpv4 : .icmpv6,
            source,
            destination,
            payload: [type, code] + [UInt8](repeating: 0, count: count - 2)
        )
    }
}

// Spans cannot stand inside an expectation, so that arrays go in here.

extension ParsedPacket {
    init(parsing octets: [UInt8]) throws(WireError) { try self.init(parsing: octets.span) }
}

extension PacketFilter {
    func inbound(_ packet: [UInt8]) -> FilterVerdict { inbound(packet.span) }
    func outbound(_ packet: [UInt8]) -> FilterVerdict { outbound(packet.span) }
}

extension TSMPMessage {
    init(parsing payload: [UInt8]) throws(WireError) { try self.init(parsing: payload.span) }

    init(parsing packet: [UInt8], as parsed: ParsedPacket) throws(WireError) {
        try self.init(parsing: packet.span, as: parsed)
    }
}

extension TSMPResponder {
    func answer(to packet: [UInt8]) -> [UInt8]? {
        guard let parsed = try? ParsedPacket(parsing: packet) else { return nil }
        return answer(to: packet.span, as: parsed)
    }
}

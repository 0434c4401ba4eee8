import Foundation
import NetTypes
import NetWire
import TestSupport
import Testing

@Suite("ParsedPacket")
struct ParsedPacketTests {
    private static let vectors = Result { try VectorFile("packet_filter", in: Bundle.module).cases }

    @Test func `the packets of the filter's vectors are classified as they are labelled`() throws {
        var count = 0
        for vector in try Self.vectors.get() {
            for packet in vector.value.packets?.array ?? [] {
                guard let bytes = packet.packet?.hex, let number = packet.proto?.int, packet.verdict?.string != "drop",
                    let source = packet.src?.string.flatMap({ AddressPort($0) }),
                    let destination = packet.dst?.string.flatMap({ AddressPort($0) })
                else { continue }
                let parsed = try ParsedPacket(parsing: bytes.span)
                if parsed.fragment == .later { continue }
                #expect(Int(parsed.ipProtocol.rawValue) == number)
                #expect(AddressPort(parsed.source, port: parsed.sourcePort) == source)
                #expect(AddressPort(parsed.destination, port: parsed.destinationPort) == destination)
                #expect(parsed.byteCount <= bytes.count)
                count += 1
            }
        }
        #expect(count > 100)
    }

    @Test func `no truncation or garbage traps`() throws {
        for vector in try Self.vectors.get().prefix(3) {
            for packet in (vector.value.packets?.array ?? []).prefix(20) {
                guard let bytes = packet.packet?.hex else { continue }
                torment(bytes) { span in
                    guard let parsed = try? ParsedPacket(parsing: span) else { return }
                    #expect(parsed.byteCount <= span.count && parsed.transportOffset <= parsed.byteCount)
                    _ = parsed.isICMPReplyOrError
                }
            }
        }
    }

    private func ipv4(
        _ ipProtocol: IPProtocol,
        payload: Int,
        fragmentOffset: Int = 0,
        more: Bool = false
    ) -> [UInt8] {
        var header = IPv4Header(
            ipProtocol: ipProtocol,
            source: IPv4Address(100, 64, 0, 1),
            destination: IPv4Address(100, 64, 0, 2),
            payloadByteCount: payload
        )
        header.fragmentOffset = fragmentOffset
        header.moreFragments = more
        return stored(20) { header.store(into: &$0, at: 0) } + [UInt8](repeating: 0, count: payload)
    }

    @Test(arguments: [
        (IPProtocol.tcp, 20), (.udp, 8), (.icmpv4, 4), (.sctp, 12), (.tsmp, 7), (.gre, 0), (.icmpv6, 0),
    ])
    func `a transport header must be complete`(ipProtocol: IPProtocol, minimum: Int) throws {
        #expect(try ParsedPacket(parsing: ipv4(ipProtocol, payload: minimum).span).fragment == .whole)
        guard minimum > 0 else { return }
        #expect(throws: WireError.truncated) { try ParsedPacket(parsing: ipv4(ipProtocol, payload: minimum - 1).span) }
    }

    @Test func `fragments are told apart by where they begin`() throws {
        #expect(throws: WireError.malformed) {
            try ParsedPacket(parsing: ipv4(.udp, payload: 64, fragmentOffset: 72).span)
        }
        let later = try ParsedPacket(parsing: ipv4(.udp, payload: 64, fragmentOffset: 80).span)
        #expect(later.fragment == .later && later.sourcePort == 0)
        #expect(try ParsedPacket(parsing: ipv4(.udp, payload: 8, more: true).span).fragment == .first)
        #expect(throws: WireError.truncated) { try ParsedPacket(parsing: ipv4(.udp, payload: 7, more: true).span) }
        #expect(throws: WireError.malformed) { try ParsedPacket(parsing: ipv4(.tsmp, payload: 16, more: true).span) }
    }

    @Test func `only a fragment header directly after the fixed one is stepped over`() throws {
        let source = try #require(IPv6Address("fd7a:115c:a1e0::1"))
        func packet(_ nextHeader: IPProtocol, _ payload: [UInt8]) -> [UInt8] {
            let header = IPv6Header(
                nextHeader: nextHeader,
                source: source,
                destination: source,
                payloadByteCount: payload.count
            )
            return stored(40) { header.store(into: &$0, at: 0) } + payload
        }
        let udp = try octets("0035 1388 0008 0000")
        let first = try ParsedPacket(parsing: packet(.ipv6Fragment, try octets("11 00 0001 00000007") + udp).span)
        #expect(first.fragment == .first && first.ipProtocol == .udp && first.sourcePort == 53)
        let atomic = try ParsedPacket(parsing: packet(.ipv6Fragment, try octets("11 00 0000 00000007") + udp).span)
        #expect(atomic.fragment == .whole && atomic.destinationPort == 5000)
        let later = try ParsedPacket(parsing: packet(.ipv6Fragment, try octets("11 00 0050 00000007")).span)
        #expect(later.fragment == .later)
        #expect(throws: WireError.malformed) {
            try ParsedPacket(parsing: packet(.ipv6Fragment, try octets("11 00 0048 00000007")).span)
        }
        let destinationOptions = try ParsedPacket(
            parsing: packet(IPProtocol(rawValue: 60), try octets("11 00 0104 00000000") + udp).span
        )
        #expect(destinationOptions.ipProtocol.rawValue == 60 && destinationOptions.sourcePort == 0)
        #expect(throws: WireError.unsupported) { try ParsedPacket(parsing: packet(IPProtocol(rawValue: 0), udp).span) }
    }

    @Test func `surplus octets are padding and do not complete a header`() throws {
        let padded = ipv4(.udp, payload: 8) + [UInt8](repeating: 0, count: 18)
        #expect(try ParsedPacket(parsing: padded.span).byteCount == 28)
        let short = ipv4(.udp, payload: 4) + [UInt8](repeating: 0, count: 18)
        #expect(throws: WireError.truncated) { try ParsedPacket(parsing: short.span) }
    }

    @Test(arguments: [
        (UInt8(0), UInt8(0), 8, true), (0, 1, 8, false), (0, 0, 4, false), (3, 7, 8, true), (11, 0, 8, true),
        (12, 0, 8, true), (5, 0, 8, false), (8, 0, 8, false), (13, 0, 8, false),
    ])
    func `ICMP replies and errors are known by type, code and size`(
        type: UInt8,
        code: UInt8,
        size: Int,
        expected: Bool
    ) throws {
        var bytes = ipv4(.icmpv4, payload: size)
        bytes[20] = type
        bytes[21] = code
        #expect(try ParsedPacket(parsing: bytes.span).isICMPReplyOrError == expected)
    }
}

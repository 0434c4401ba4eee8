import NetTypes
import NetWire
import Testing

@Suite("Ethernet, ARP, IP, UDP, TCP and ICMP headers")
struct HeaderTests {
    @Test func `an Ethernet header survives both ways`() throws {
        let bytes = try octets("ffffffffffff 525400123456 0806")
        let header = try EthernetHeader(parsing: bytes.span)
        #expect(header.destination == .broadcast && header.source == MACAddress("52:54:00:12:34:56"))
        #expect(header.etherType == .arp)
        #expect(stored(14) { header.store(into: &$0, at: 0) } == bytes)
        torment(bytes) { _ = try? EthernetHeader(parsing: $0) }
        #expect(throws: WireError.truncated) { try EthernetHeader(parsing: bytes.span.extracting(0..<13)) }
    }

    @Test func `an ARP request survives both ways`() throws {
        let bytes = try octets("0001 0800 06 04 0001 525400123456 64400001 000000000000 64646464")
        let packet = try ARPPacket(parsing: (bytes + [0, 0]).span)
        #expect(packet.operation == .request && packet.targetAddress == TailnetAddresses.serviceIPv4)
        #expect(packet.senderAddress == IPv4Address(100, 64, 0, 1))
        #expect(stored(28) { packet.store(into: &$0, at: 0) } == bytes)
        torment(bytes) { _ = try? ARPPacket(parsing: $0) }
        var other = bytes
        other[4] = 8
        #expect(throws: WireError.unsupported) { try ARPPacket(parsing: other.span) }
    }

    @Test func `an IPv4 header with its checksum survives both ways`() throws {
        // The well-known example of RFC 1071 texts.
        let bytes = try octets("4500 0073 0000 4000 4011 b861 c0a80001 c0a800c7") + [UInt8](repeating: 0, count: 95)
        let header = try IPv4Header(parsing: bytes.span)
        let isValid = header.isChecksumValid(bytes.span)
        #expect(isValid && header.totalByteCount == 115 && header.dontFragment)
        #expect(header.ipProtocol == .udp && header.timeToLive == 64 && header.source == IPv4Address(192, 168, 0, 1))
        #expect(stored(20) { header.store(into: &$0, at: 0) } == Array(bytes[..<20]))
        var corrupt = bytes
        corrupt[8] = 63
        let isStillValid = header.isChecksumValid(corrupt.span)
        #expect(!isStillValid)
        torment(bytes) { span in
            if let header = try? IPv4Header(parsing: span) { _ = header.isChecksumValid(span) }
        }
    }

    @Test(arguments: [
        ("6500 0014 0000 0000 4011 0000 00000000 00000000", WireError.badMagic),
        ("4400 0014 0000 0000 4011 0000 00000000 00000000", .badLength),
        ("4600 0014 0000 0000 4011 0000 00000000 00000000", .badLength),
        ("4500 0013 0000 0000 4011 0000 00000000 00000000", .badLength),
        ("4500 0015 0000 0000 4011 0000 00000000 00000000", .truncated),
    ])
    func `an IPv4 header whose lengths lie is refused`(text: String, error: WireError) throws {
        let bytes = try octets(text)
        #expect(throws: error) { try IPv4Header(parsing: bytes.span) }
    }

    @Test func `an IPv6 header survives both ways`() throws {
        let bytes = try octets(
            "60b12345 0008 3a 40 fd7a115ca1e000000000000000000001 fd7a115ca1e000000000000000000002 8000000000000000"
        )
        let header = try IPv6Header(parsing: bytes.span)
        #expect(header.flowLabel == 0x12345 && header.trafficClass == 0x0B && header.nextHeader == .icmpv6)
        #expect(stored(40) { header.store(into: &$0, at: 0) } == Array(bytes[..<40]))
        torment(bytes) { _ = try? IPv6Header(parsing: $0) }
    }

    @Test func `UDP checksums are made and verified`() throws {
        let header = IPv4Header(
            ipProtocol: .udp,
            source: IPv4Address(100, 100, 100, 100),
            destination: IPv4Address(100, 64, 0, 1),
            payloadByteCount: 11
        )
        let payload: [UInt8] = [1, 2, 3]
        var udp = UDPHeader(sourcePort: 53, destinationPort: 40000, payloadByteCount: 3)
        udp.seal(header.pseudoHeader(payloadByteCount: 11), payload: payload.span)
        var datagram = stored(8) { udp.store(into: &$0, at: 0) } + payload
        let parsed = try UDPHeader(parsing: datagram.span)
        #expect(parsed == udp)
        let isValid = parsed.isChecksumValid(header.pseudoHeader(payloadByteCount: 11), datagram: datagram.span)
        #expect(isValid)
        datagram[9] ^= 1
        let isStillValid = parsed.isChecksumValid(header.pseudoHeader(payloadByteCount: 11), datagram: datagram.span)
        #expect(!isStillValid)
        torment(datagram) { _ = try? UDPHeader(parsing: $0) }
        #expect(throws: WireError.badLength) { try UDPHeader(parsing: [0, 1, 0, 2, 0, 7, 0, 0].span) }
    }

    @Test func `a TCP reset survives both ways and sums to zero`() throws {
        let header = IPv4Header(
            ipProtocol: .tcp,
            source: IPv4Address(100, 100, 100, 100),
            destination: IPv4Address(100, 64, 0, 1),
            payloadByteCount: 20
        )
        var tcp = TCPHeader(
            sourcePort: 53,
            destinationPort: 40000,
            sequenceNumber: 0,
            acknowledgementNumber: 0xFFFF_FFFF,
            flags: [.rst, .ack],
            window: 0
        )
        tcp.seal(header.pseudoHeader(payloadByteCount: 20), payload: [UInt8]().span)
        let bytes = stored(20) { tcp.store(into: &$0, at: 0) }
        #expect(try TCPHeader(parsing: bytes.span) == tcp)
        var sum = header.pseudoHeader(payloadByteCount: 20)
        sum.add(bytes.span)
        #expect(sum.value == 0)
        torment(bytes) { _ = try? TCPHeader(parsing: $0) }
    }

    @Test func `ICMP messages survive both ways`() throws {
        let payload: [UInt8] = [1, 2, 3, 4, 5]
        let echo = ICMPv4Message(kind: .echoReply, restOfHeader: 0x1234_0001)
        let bytes = stored(13) { echo.store(into: &$0, at: 0, payload: payload.span) }
        #expect(try ICMPv4Message(parsing: bytes.span) == echo)
        var corrupt = bytes
        corrupt[12] ^= 1
        #expect(throws: WireError.badChecksum) { try ICMPv4Message(parsing: corrupt.span) }
        torment(bytes) { _ = try? ICMPv4Message(parsing: $0) }
        #expect(ICMPv4Message.fragmentationNeeded(mtu: 1280).restOfHeader == 1280)
    }

    @Test func `ICMPv6 messages are summed over the pseudo header`() throws {
        let header = IPv6Header(
            nextHeader: .icmpv6,
            source: .loopback,
            destination: .loopback,
            payloadByteCount: 8
        )
        let echo = ICMPv6Message(kind: .echoRequest, restOfHeader: 0x0001_0001)
        let ours = stored(8) { echo.store(into: &$0, at: 0, payload: [UInt8]().span, in: header) }
        #expect(try ICMPv6Message(parsing: ours.span, in: header) == echo)
        var sum = header.pseudoHeader(of: .icmpv6, byteCount: 8)
        sum.add(ours.span)
        #expect(sum.value == 0)
        torment(ours) { _ = try? ICMPv6Message(parsing: $0, in: header) }
    }
}

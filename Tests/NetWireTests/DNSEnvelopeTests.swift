import NetTypes
import Testing

@testable import NetWire

@Suite("DNSEnvelope and packets of our own") struct DNSEnvelopeTests {
    private static let left = AddressPort(.v4(IPv4Address(100, 64, 0, 1)), port: 53)
    private static let right = AddressPort(.v4(IPv4Address(100, 64, 0, 2)), port: 40_000)
    private static let six = AddressPort(.v6(IPv6Address(high: 0xFD7A_115C_A1E0_0000, low: 7)), port: 53)

    private static func message(payload: UInt16?) throws -> [UInt8] {
        let name = try #require(DNSName("www.example.com"))
        var message = DNSMessage(
            identifier: 7,
            flags: DNSFlags(rawValue: 0x8180),
            questions: [DNSQuestion(name: name, type: .a)]
        )
        message.answers = [DNSRecord(name: name, lifetimeSeconds: 5, content: .ipv4(IPv4Address(1, 2, 3, 4)))]
        if let payload {
            let options = DNSRecord(
                name: .root,
                recordClass: payload,
                lifetimeSeconds: 0,
                content: .other(.opt, [0, 10, 0, 1, 9])
            )
            message.additionals = [options]
        }
        return message.bytes
    }

    @Test func `finds and lowers the size of answers behind other records, and touches nothing else`() throws {
        let bytes = try Self.message(payload: 4_096)
        var envelope = try DNSEnvelope(parsing: bytes)
        #expect(envelope.payloadByteCount == 4_096 && envelope.hasOptions && envelope.identifier == 7)
        envelope.limitPayload(to: 5_000)
        #expect(envelope.bytes == bytes)
        envelope.limitPayload(to: 1_232)
        envelope.identifier = 0xABCD
        let read = try DNSMessage(parsing: envelope.bytes.span)
        #expect(read.additionals.map(\.recordClass) == [1_232] && read.identifier == 0xABCD && read.answers.count == 1)
        let without = try DNSEnvelope(parsing: Self.message(payload: nil))
        #expect(without.payloadByteCount == 512 && !without.hasOptions)
        let tiny = try DNSEnvelope(parsing: Self.message(payload: 10))
        #expect(tiny.payloadByteCount == 512)
    }

    @Test func `a truncated message keeps its question and its options alone`() throws {
        let cut = try DNSEnvelope(parsing: Self.message(payload: 900)).truncated
        let read = try DNSMessage(parsing: cut.span)
        #expect(read.flags.isTruncated && read.answers.isEmpty && read.additionals.count == 1)
        #expect(read.questions.map(\.name.description) == ["www.example.com."])
    }

    @Test func `no length and no garbage breaks it`() throws {
        let bytes = try Self.message(payload: 4_096)
        for count in 0..<bytes.count {
            // Whatever can be read of a cut message can also be truncated and limited.
            guard var envelope = try? DNSEnvelope(parsing: Array(bytes.prefix(count))) else { continue }
            envelope.limitPayload(to: 600)
            #expect(envelope.truncated.count <= count + 12)
        }
        var state: UInt32 = 1
        for _ in 0..<20_000 {
            var damaged = bytes
            for _ in 0..<4 {
                state = state &* 1_664_525 &+ 1_013_904_223
                damaged[Int(state >> 8) % damaged.count] = UInt8(truncatingIfNeeded: state >> 24)
            }
            guard var envelope = try? DNSEnvelope(parsing: damaged) else { continue }
            envelope.limitPayload(to: 600)
            _ = envelope.truncated
        }
    }

    @Test func `a datagram survives the way through a packet of either family, and nothing damaged does`() throws {
        #expect(UDPPacket.bytes(from: Self.six, to: Self.left, payload: [UInt8]().span) == nil)
        for (source, target) in [(Self.left, Self.right), (Self.six, Self.six)] {
            let packet = UDPPacket.bytes(from: source, to: target, payload: ([1, 2, 3] as [UInt8]).span) ?? []
            let parsed = try ParsedPacket(parsing: packet.span)
            let range = UDPPacket.payloadRange(of: packet.span, parsed)
            #expect(range.map { Array(packet[$0]) } == [1, 2, 3])
            for index in (parsed.transportOffset + 4)..<packet.count {
                var damaged = packet
                damaged[index] ^= 0x21
                guard let parsed = try? ParsedPacket(parsing: damaged.span) else { continue }
                let range = UDPPacket.payloadRange(of: damaged.span, parsed)
                #expect(range == nil)
            }
        }
    }

    @Test(arguments: [1, 1_200, 1_252, 1_253, 3_000, 9_001, 60_000])
    func `fragments join to what they were cut from`(count: Int) throws {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 3) }
        for (source, target) in [(Self.left, Self.right), (Self.six, Self.six)] {
            let packet = UDPPacket.bytes(from: source, to: target, payload: payload.span) ?? []
            let fragments = PacketFragments.of(packet, mtu: 1_280, identification: 0x1_2345)
            var joined: [UInt8] = []
            for (index, fragment) in fragments.enumerated() {
                #expect(fragment.count <= 1_280)
                let parsed = try ParsedPacket(parsing: fragment.span)
                #expect(parsed.byteCount == fragment.count && parsed.ipProtocol == .udp)
                if fragments.count > 1 { #expect((parsed.fragment == .first) == (index == 0)) }
                joined += fragment[parsed.transportOffset...]
            }
            let header = source.address.isIPv4 ? 20 : 40
            #expect(joined == Array(packet[header...]))
        }
    }
}

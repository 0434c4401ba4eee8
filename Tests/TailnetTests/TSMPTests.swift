import NetTypes
import NetWire
import Tailnet
import TestSupport
import Testing
import WarrenCrypto

@Suite("TSMP")
struct TSMPTests {
    private static let own = IPAddress.v4(IPv4Address(100, 64, 0, 1))
    private static let peer = IPAddress.v4(IPv4Address(100, 64, 0, 2))
    private static let rejection = TSMPRejection(
        ipProtocol: .tcp,
        reason: .hostFirewall,
        sourcePort: 1,
        destinationPort: 2,
        maybeBroken: true
    )

    private func payload(_ message: TSMPMessage) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: message.byteCount)
        var elements = octets.mutableSpan
        var span = elements.mutableBytes
        message.store(into: &span, at: 0)
        return octets
    }

    @Test func `every message survives its encoding, and no truncation traps`() throws {
        let key = try #require(DiscoPublicKey(bytes: [UInt8](1...32)))
        let messages: [TSMPMessage] = [
            .ping(0x0102_0304_0506_0708), .pong(.max, peerAPIPort: 0xABCD), .reject(Self.rejection), .discoKey(key),
        ]
        for message in messages {
            let octets = payload(message)
            #expect(try TSMPMessage(parsing: octets) == message)
            for count in octets.indices { _ = try? TSMPMessage(parsing: Array(octets[..<count])) }
            #expect(throws: WireError.truncated) { try TSMPMessage(parsing: Array(octets[..<6])) }
        }
    }

    @Test func `octets and letters nobody knows are tolerated`() throws {
        #expect(try TSMPMessage(parsing: (payload(.ping(5)) + [1, 2])) == .ping(5))
        #expect(throws: WireError.unsupported) { try TSMPMessage(parsing: ([0x7A, 1, 2] as [UInt8])) }
        #expect(throws: WireError.truncated) { try TSMPMessage(parsing: ([] as [UInt8])) }
        let odd: [UInt8] = [0x21, 6, 0x58, 0, 1, 0, 2, 0xFE]
        let expected = TSMPRejection(
            ipProtocol: .tcp,
            reason: TSMPRejectReason(rawValue: 0x58),
            sourcePort: 1,
            destinationPort: 2
        )
        #expect(try TSMPMessage(parsing: odd) == .reject(expected))
    }

    @Test func `a pong may come without a port`() throws {
        let octets = payload(.pong(9, peerAPIPort: 80))
        #expect(try TSMPMessage(parsing: Array(octets[..<9])) == .pong(9, peerAPIPort: 0))
        #expect(try TSMPMessage(parsing: Array(octets[..<10])) == .pong(9, peerAPIPort: 0))
    }

    @Test func `only pings to an own address are answered`() throws {
        let responder = TSMPResponder(addresses: [Self.own])
        let ping = try #require(TSMPMessage.ping(1).packet(from: Self.peer, to: Self.own))
        let answer = responder.answer(to: ping)
        let pong = try #require(answer)
        let parsed = try ParsedPacket(parsing: pong)
        #expect(parsed.source == Self.own && parsed.destination == Self.peer)
        #expect(try TSMPMessage(parsing: pong, as: parsed) == .pong(1, peerAPIPort: 0))
        #expect(pong.hex == "4500001fffff00004063b1f964400001644000026f00000000000000010000")
        #expect(responder.answer(to: pong) == nil)
        let strange = try #require(TSMPMessage.ping(1).packet(from: Self.peer, to: .v4(IPv4Address(100, 64, 0, 3))))
        #expect(responder.answer(to: strange) == nil)
        #expect(responder.answer(to: try TestPackets.tcp("100.64.0.2", "100.64.0.1", port: 1)) == nil)
        #expect(responder.answer(to: Array(ping[..<28])) == nil)
        let unknown = try TestPackets.packet(
            .tsmp,
            "100.64.0.2",
            "100.64.0.1",
            payload: [UInt8](repeating: 1, count: 9)
        )
        #expect(responder.answer(to: unknown) == nil)
    }

    @Test func `padding after a ping is not part of it`() throws {
        let responder = TSMPResponder(addresses: [Self.own])
        let ping = try #require(TSMPMessage.ping(1).packet(from: Self.peer, to: Self.own))
        let short = try TestPackets.packet(.tsmp, "100.64.0.2", "100.64.0.1", payload: [0x70, 0, 0, 0, 0, 0, 0, 0])
        #expect(responder.answer(to: (ping + [0, 0, 0])) == responder.answer(to: ping))
        #expect(responder.answer(to: (short + [0, 0, 0])) == nil)
    }

    @Test func `a message does not travel between families`() {
        #expect(TSMPMessage.ping(1).packet(from: Self.own, to: .v6(.loopback)) == nil)
    }

    @Test func `a dropped attempt to connect is refused as the reference client refuses it`() throws {
        let syn = try ParsedPacket(parsing: TestPackets.tcp("100.64.0.2", "100.64.0.1", port: 22))
        let packet = try #require(TSMPResponder.rejection(of: syn, reason: .noRule))
        // Byte for byte the vector of an ACL's refusal, with this flow's addresses and ports.
        #expect(packet.hex.hasSuffix("210641" + "9c400016"))
        let parsed = try ParsedPacket(parsing: packet)
        #expect(parsed.source == Self.own && parsed.destination == Self.peer)
        guard case .reject(let rejection) = try TSMPMessage(parsing: packet, as: parsed) else {
            Issue.record("not a rejection")
            return
        }
        #expect(rejection.flowSource(in: parsed).description == "100.64.0.2:40000")
        #expect(rejection.flowDestination(in: parsed).description == "100.64.0.1:22")
        let shields = try #require(TSMPResponder.rejection(of: syn, reason: .shieldsUp))
        #expect(shields.hex.hasSuffix("210653" + "9c400016"))
        #expect(TSMPResponder.rejection(of: syn, reason: .notLocal) == nil)
        let ipv6 = try ParsedPacket(parsing: TestPackets.tcp("fd7a::2", "fd7a::1", port: 22))
        #expect(TSMPResponder.rejection(of: ipv6, reason: .noRule) == nil)
        let udp = try ParsedPacket(parsing: TestPackets.udp("100.64.0.2:1", "100.64.0.1:2"))
        #expect(TSMPResponder.rejection(of: udp, reason: .noRule) == nil)
    }
}

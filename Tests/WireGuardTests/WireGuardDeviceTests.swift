import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@testable import WireGuard

/// Two nodes that know each other.
struct NodePair {
    let a = TestNode(port: 1, generator: ScriptedGenerator(seed: 7))
    let b = TestNode(port: 2, generator: ScriptedGenerator(seed: 8))
    let toB: PeerIndex
    let toA: PeerIndex

    init() {
        toB = a.add(b)
        toA = b.add(a)
    }

    /// A session that `a` began at `now`, confirmed on both sides.
    func establish(at now: MonotonicTime = .zero) {
        _ = a.seal(makePacket(), to: toB, now: now)
        let received = settle(a, b, now: now)
        #expect(received.second == [makePacket()])
    }
}

@Suite("WireGuardDevice") struct WireGuardDeviceTests {
    @Test func `queued packets follow the handshake in order`() {
        let pair = NodePair()
        for tag in 0..<5 {
            #expect(pair.a.seal(makePacket(UInt8(tag)), to: pair.toB, now: .zero).0 == .queued)
        }
        let received = settle(pair.a, pair.b, now: .zero)
        #expect(received.second == (0..<5).map { makePacket(UInt8($0)) })
        #expect(pair.a.device.queuedByteCount == 0)
        #expect(pair.a.device.hasSession(with: pair.toB, now: .zero))
        #expect(pair.b.device.hasSession(with: pair.toA, now: .zero))
    }

    @Test func `data flows both ways, padded to sixteen octets`() throws {
        let pair = NodePair()
        pair.establish()
        for count in [20, 31, 32, 33, 1279, 1280] {
            let packet = makePacket(count: count)
            let message = try #require(pair.b.seal(packet, to: pair.toA, now: .zero).1)
            #expect(message.count == (count + 15) / 16 * 16 + 32)
            #expect(pair.a.receive(message, now: .zero).1 == packet)
        }
    }

    @Test func `a responder sends nothing before the initiator used the session`() throws {
        let pair = NodePair()
        _ = pair.a.seal(makePacket(), to: pair.toB, now: .zero)
        _ = pair.b.receive(try #require(pair.a.outgoing().first), now: .zero)
        #expect(pair.b.seal(makePacket(9), to: pair.toA, now: .zero).0 == .queued)
        let response = pair.b.outgoing()
        #expect(response.count == 1)
        _ = pair.a.receive(response[0], now: .zero)
        let received = settle(pair.a, pair.b, now: .zero)
        #expect(received.second == [makePacket()])
        #expect(received.first == [makePacket(9)])
    }

    @Test func `an initiator without data confirms the session by a keep-alive`() throws {
        let pair = NodePair()
        pair.establish()
        let again = MonotonicTime.seconds(121)
        _ = pair.a.seal(makePacket(1), to: pair.toB, now: again)
        _ = pair.b.receive(try #require(pair.a.outgoing().first), now: again)
        _ = pair.a.receive(try #require(pair.b.outgoing().first), now: again)
        let confirmation = pair.a.outgoing()
        #expect(confirmation.map(\.count) == [MessageLength.keepalive])
        #expect(pair.b.receive(confirmation[0], now: again).0 == .keepalive(pair.toA))
    }

    @Test func `initiations at the same time converge`() {
        let pair = NodePair()
        _ = pair.a.seal(makePacket(1), to: pair.toB, now: .zero)
        _ = pair.b.seal(makePacket(2), to: pair.toA, now: .zero)
        let received = settle(pair.a, pair.b, now: .zero)
        #expect(received.first == [makePacket(2)] && received.second == [makePacket(1)])
        for tag in 3..<6 {
            let toB = pair.a.seal(makePacket(UInt8(tag)), to: pair.toB, now: .seconds(1)).1
            let toA = pair.b.seal(makePacket(UInt8(tag)), to: pair.toA, now: .seconds(1)).1
            #expect(toB.map { pair.b.receive($0, now: .seconds(1)).1 } == makePacket(UInt8(tag)))
            #expect(toA.map { pair.a.receive($0, now: .seconds(1)).1 } == makePacket(UInt8(tag)))
        }
    }

    @Test func `a message counts once`() throws {
        let pair = NodePair()
        pair.establish()
        let message = try #require(pair.a.seal(makePacket(), to: pair.toB, now: .zero).1)
        #expect(pair.b.receive(message, now: .zero).1 == makePacket())
        #expect(pair.b.receive(message, now: .zero).0 == .drop(.replayed))
        #expect(pair.b.device.dropCounts[.replayed] == 1)
    }

    @Test func `a repeated initiation is stale, even when all sessions are forgotten`() throws {
        let pair = NodePair()
        _ = pair.a.seal(makePacket(), to: pair.toB, now: .zero)
        let initiation = try #require(pair.a.outgoing().first)
        #expect(pair.b.receive(initiation, now: .zero).0 == .handshake(pair.toA))
        #expect(pair.b.receive(initiation, now: .seconds(1)).0 == .drop(.staleTimestamp))
        pair.b.device.resetSessions(of: pair.toA)
        #expect(pair.b.receive(initiation, now: .seconds(2)).0 == .drop(.staleTimestamp))
        #expect(pair.b.device.activePeerCount == 0)
    }

    @Test func `initiations closer than 20 ms are a flood`() throws {
        let pair = NodePair()
        _ = pair.a.seal(makePacket(), to: pair.toB, now: .zero)
        _ = pair.b.receive(try #require(pair.a.outgoing().first), now: .zero)
        // A second device with the same key, a second ahead.
        let twin = TestNode(key: pair.a.device.privateKey, unixNanoseconds: 1_800_000_001_000_000_000)
        let toB = twin.add(pair.b)
        _ = twin.seal(makePacket(), to: toB, now: .zero)
        let second = try #require(twin.outgoing().first)
        #expect(pair.b.receive(second, now: .seconds(0.01)).0 == .drop(.initiationFlood))
        #expect(pair.b.receive(second, now: .seconds(0.02)).0 == .handshake(pair.toA))
    }

    @Test func `an unknown key is dropped and costs no state`() throws {
        let (a, b) = (TestNode(), TestNode())
        let toB = a.add(b)
        _ = a.seal(makePacket(), to: toB, now: .zero)
        let initiation = try #require(a.outgoing().first)
        #expect(b.receive(initiation, now: .zero).0 == .drop(.unknownPeer))
        #expect(b.device.activePeerCount == 0 && b.outgoing().isEmpty)
    }

    @Test func `a source outside the peer's allowed IPs is dropped`() throws {
        let pair = NodePair()
        pair.establish()
        let own = try #require(IPPrefix("100.64.0.9/32"))
        pair.b.device.setPeer(pair.a.device.publicKey, allowedIPs: [own])
        let message = try #require(pair.a.seal(makePacket(), to: pair.toB, now: .zero).1)
        #expect(pair.b.receive(message, now: .zero).0 == .drop(.sourceNotAllowed))
    }

    private static func changed(_ offset: Int, _ bytes: [UInt8]) -> [UInt8] {
        var packet = makePacket()
        packet.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        return packet
    }

    private static let impossiblePackets: [[UInt8]] = [
        [], [0x45], Array(makePacket().prefix(10)), changed(0, [0x15]), changed(2, [0xFF, 0xFF]), changed(2, [0, 19]),
        Array(changed(0, [0x60]).prefix(30)), changed(0, [0x60, 0, 0, 0, 0, 9]),
    ]

    @Test(arguments: impossiblePackets)
    func `an inner packet of an impossible length is dropped`(packet: [UInt8]) throws {
        let pair = NodePair()
        pair.establish()
        let message = try #require(pair.a.seal(packet, to: pair.toB, now: .zero).1)
        let verdict = pair.b.receive(message, now: .zero).0
        #expect(verdict == (packet.isEmpty ? .keepalive(pair.toA) : .drop(.badInnerPacket)))
    }

    @Test func `a removed peer is gone and its name is not given again`() {
        let pair = NodePair()
        pair.establish()
        pair.a.device.removePeer(pair.toB)
        #expect(pair.a.seal(makePacket(), to: pair.toB, now: .zero).0 == .drop(.unknownPeer))
        #expect(pair.a.device.peerCount == 0 && pair.a.device.allowedIPs.count == 0)
        #expect(pair.a.device.nextDeadline == nil)
        let again = pair.a.add(pair.b)
        #expect(again != pair.toB)
        #expect(pair.a.device.publicKey(of: again) == pair.b.device.publicKey)
        #expect(pair.a.device.publicKey(of: pair.toB) == nil)
    }

    @Test func `a buffer without room is refused`() {
        let pair = NodePair()
        pair.establish()
        var buffer = [UInt8](repeating: 0, count: 16 + 40 + 8 + 15)
        var elements = buffer.mutableSpan
        var octets = elements.mutableBytes
        let verdict = pair.a.device.encapsulate(&octets, packetAt: 16, count: 40, to: pair.toB, now: .zero)
        #expect(verdict == .drop(.noRoom))
        let tooEarly = pair.a.device.encapsulate(&octets, packetAt: 15, count: 20, to: pair.toB, now: .zero)
        #expect(tooEarly == .drop(.noRoom))
    }

    @Test func `no truncation of any message traps or is accepted`() throws {
        let pair = NodePair()
        _ = pair.a.seal(makePacket(), to: pair.toB, now: .zero)
        let initiation = try #require(pair.a.outgoing().first)
        checkTruncations(of: initiation, at: pair.b)
        _ = pair.b.receive(initiation, now: .zero)
        let response = try #require(pair.b.outgoing().first)
        checkTruncations(of: response, at: pair.a)
        _ = pair.a.receive(response, now: .zero)
        let data = try #require(pair.a.outgoing().first)
        checkTruncations(of: data, at: pair.b)
        #expect(pair.b.receive(data, now: .zero).1 == makePacket())
    }

    private func checkTruncations(of message: [UInt8], at node: TestNode) {
        for count in 0..<message.count {
            guard case .drop = node.receive(Array(message[..<count]), now: .zero).0 else {
                Issue.record("accepted \(count) of \(message.count) octets")
                continue
            }
        }
    }

    @Test func `no random or damaged datagram traps or is accepted`() throws {
        let pair = NodePair()
        pair.establish()
        var generator = ScriptedGenerator(seed: 42)
        let good = try #require(pair.a.seal(makePacket(), to: pair.toB, now: .zero).1)
        for round in 0..<2000 {
            var datagram = generator.bytes(count: Int(generator.next() % 200))
            if round % 2 == 0, datagram.count >= 4 {
                datagram.replaceSubrange(0..<4, with: [UInt8(round / 2 % 6), 0, 0, 0])
            } else if round % 4 == 1 {
                datagram = good
                datagram[Int(generator.next() % UInt64(good.count))] ^= UInt8(1 << (round / 4 % 8))
            }
            guard case .drop = pair.b.receive(datagram, now: .zero).0 else {
                Issue.record("accepted \(datagram.hex)")
                continue
            }
        }
        #expect(pair.b.receive(good, now: .zero).1 == makePacket())
    }
}

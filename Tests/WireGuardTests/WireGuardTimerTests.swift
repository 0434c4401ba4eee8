import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@testable import WireGuard

@Suite("WireGuard timers and limits") struct WireGuardTimerTests {
    @Test func `an initiator that sends after 120 seconds renews the session`() {
        let pair = NodePair()
        pair.establish()
        #expect(pair.a.seal(makePacket(), to: pair.toB, now: .seconds(119.9)).1 != nil)
        #expect(pair.a.outgoing().isEmpty)
        #expect(pair.a.seal(makePacket(), to: pair.toB, now: .seconds(120)).1 != nil)
        #expect(pair.a.outgoing().map(\.count) == [MessageLength.initiation])
        #expect(pair.a.seal(makePacket(), to: pair.toB, now: .seconds(121)).1 != nil)
        #expect(pair.a.outgoing().isEmpty)
    }

    @Test func `a responder does not renew`() {
        let pair = NodePair()
        pair.establish()
        #expect(pair.b.seal(makePacket(), to: pair.toA, now: .seconds(150)).1 != nil)
        #expect(pair.b.outgoing().isEmpty)
    }

    @Test func `after 180 seconds a session neither sends nor receives`() throws {
        let pair = NodePair()
        pair.establish()
        let message = try #require(pair.a.seal(makePacket(), to: pair.toB, now: .seconds(100)).1)
        #expect(pair.b.receive(message, now: .seconds(180)).0 == .drop(.sessionExpired))
        #expect(pair.a.seal(makePacket(), to: pair.toB, now: .seconds(180)).0 == .queued)
        #expect(pair.a.outgoing().map(\.count) == [MessageLength.initiation])
        #expect(pair.b.seal(makePacket(), to: pair.toA, now: .seconds(180)).0 == .queued)
    }

    @Test func `an initiator that receives on a session of 165 seconds renews it once`() throws {
        let pair = NodePair()
        pair.establish()
        for (time, expected) in [(164.0, 0), (166.0, 1), (172.0, 0)] {
            let message = try #require(pair.b.seal(makePacket(), to: pair.toA, now: .seconds(time)).1)
            _ = pair.a.receive(message, now: .seconds(time))
            #expect(pair.a.outgoing().count == expected, "\(time)")
        }
    }

    @Test func `messages beyond the counter's limit are not sent`() throws {
        let pair = NodePair()
        pair.establish()
        let keypair = try #require(pair.a.anyKeypair)
        keypair.sendCounter = WireGuardConstants.rekeyAfterMessages
        #expect(pair.a.seal(makePacket(), to: pair.toB, now: .seconds(6)).1 != nil)
        #expect(pair.a.outgoing().count == 1)
        keypair.sendCounter = WireGuardConstants.rejectAfterMessages
        #expect(pair.a.seal(makePacket(), to: pair.toB, now: .seconds(7)).0 == .queued)
    }

    @Test func `an initiation is repeated every five seconds and given up after 90`() throws {
        let pair = NodePair()
        _ = pair.a.seal(makePacket(), to: pair.toB, now: .zero)
        #expect(pair.a.outgoing().count == 1)
        var times: [MonotonicTime] = []
        while let deadline = pair.a.device.nextDeadline, times.count < 100 {
            pair.a.device.tick(now: deadline)
            guard !pair.a.outgoing().isEmpty else { break }
            times.append(deadline)
        }
        #expect(times.count == WireGuardConstants.maximumHandshakeAttempts)
        for (earlier, later) in zip([.zero] + times, times) {
            #expect((.seconds(5)...(.milliseconds(5334))).contains(later - earlier))
        }
        #expect(pair.a.device.dropCounts[.handshakeTimedOut] == 1)
        #expect(pair.a.device.queuedByteCount == 0)
        // Incoming handshakes are still answered.
        _ = pair.b.seal(makePacket(), to: pair.toA, now: .seconds(200))
        #expect(settle(pair.a, pair.b, now: .seconds(200)).first == [makePacket()])
    }

    @Test func `what is received is acknowledged within ten seconds`() throws {
        let pair = NodePair()
        pair.establish()
        #expect(pair.b.device.nextDeadline == .seconds(10))
        pair.b.device.tick(now: .seconds(9.9))
        #expect(pair.b.outgoing().isEmpty)
        pair.b.device.tick(now: .seconds(10))
        #expect(pair.b.outgoing().map(\.count) == [MessageLength.keepalive])
        // A packet of our own is an acknowledgment too.
        let message = try #require(pair.a.seal(makePacket(), to: pair.toB, now: .seconds(11)).1)
        _ = pair.b.receive(message, now: .seconds(11))
        _ = pair.b.seal(makePacket(), to: pair.toA, now: .seconds(12))
        pair.b.device.tick(now: .seconds(22))
        #expect(pair.b.outgoing().isEmpty)
    }

    @Test func `silence for fifteen seconds after data begins a handshake`() {
        let pair = NodePair()
        pair.establish()
        _ = pair.a.seal(makePacket(), to: pair.toB, now: .seconds(30))
        pair.a.device.tick(now: .seconds(44.9))
        // The first packet, at zero, was never answered either: the deadline counts from there.
        let messages = pair.a.outgoing()
        #expect(messages.map(\.count) == [MessageLength.initiation])
    }

    @Test func `keys are forgotten when nothing happened for 540 seconds`() throws {
        let pair = NodePair()
        pair.establish()
        let message = try #require(pair.b.seal(makePacket(), to: pair.toA, now: .seconds(1)).1)
        _ = pair.a.receive(message, now: .seconds(1))
        _ = pair.a.seal([], to: pair.toB, now: .seconds(2))
        while let deadline = pair.a.device.nextDeadline, deadline < .seconds(540) {
            pair.a.device.tick(now: deadline)
        }
        #expect(pair.a.device.activePeerCount == 1)
        pair.a.device.tick(now: .seconds(540))
        #expect(pair.a.device.activePeerCount == 0)
        #expect(pair.a.device.indices.count == 0 && pair.a.device.nextDeadline == nil)
        // The peer is still known and handshakes anew.
        _ = pair.a.seal(makePacket(7), to: pair.toB, now: .seconds(600))
        #expect(settle(pair.a, pair.b, now: .seconds(600)).second == [makePacket(7)])
    }

    @Test func `a packet right after a response waits five seconds at most`() throws {
        let pair = NodePair()
        _ = pair.a.seal(makePacket(), to: pair.toB, now: .zero)
        _ = pair.b.receive(try #require(pair.a.outgoing().first), now: .zero)
        _ = pair.b.outgoing()
        // The response is lost, and we have something to send ourselves.
        #expect(pair.b.seal(makePacket(3), to: pair.toA, now: .seconds(1)).0 == .queued)
        #expect(pair.b.outgoing().isEmpty)
        #expect(pair.b.device.nextDeadline == .seconds(5))
        pair.b.device.tick(now: .seconds(5))
        #expect(settle(pair.a, pair.b, now: .seconds(5)).first == [makePacket(3)])
    }

    @Test func `a queue holds 128 packets and loses the oldest`() {
        let pair = NodePair()
        for tag in 0..<130 { _ = pair.a.seal(makePacket(UInt8(tag)), to: pair.toB, now: .zero) }
        #expect(pair.a.device.dropCounts[.queueFull] == 2)
        #expect(settle(pair.a, pair.b, now: .zero).second == (2..<130).map { makePacket(UInt8($0)) })
    }

    @Test func `all queues together are bounded`() {
        let node = TestNode()
        let packet = makePacket(count: 1280)
        for number in 0..<40 {
            let key = NodePrivateKey().publicKey
            let peer = node.device.setPeer(key, allowedIPs: [])
            for _ in 0..<128 { _ = node.seal(packet, to: peer, now: .zero) }
            #expect(node.device.queuedByteCount <= WireGuardDefaults.queuedByteCount, "\(number)")
            _ = node.outgoing()
        }
        #expect(node.device.dropCounts[.queueFull] > 0)
    }

    @Test func `ten thousand idle peers cost no deadline and no state`() {
        let node = TestNode()
        var key = [UInt8](repeating: 9, count: 32)
        for number in 0..<10_000 {
            key[0] = UInt8(number & 255)
            key[1] = UInt8(number >> 8)
            guard let publicKey = NodePublicKey(bytes: key) else { continue }
            let address = IPPrefix(.v4(IPv4Address(rawValue: 0x6440_0000 + UInt32(number))))
            node.device.setPeer(publicKey, allowedIPs: [address])
        }
        #expect(node.device.peerCount == 10_000 && node.device.allowedIPs.count == 10_000)
        #expect(node.device.activePeerCount == 0 && node.device.nextDeadline == nil)
        let owner = node.device.peer(forDestination: .v4(IPv4Address(rawValue: 0x6440_0000 + 4242)))
        let found = owner.flatMap { node.device.publicKey(of: $0) }?.bytes.prefix(2)
        #expect(found.map(Array.init) == [146, 16])
    }
}

@Suite("WireGuard under load") struct WireGuardLoadTests {
    @Test func `a loaded responder asks for a cookie and accepts the retry that bears it`() throws {
        let a = TestNode(port: 9)
        let b = TestNode(handshakesPerSecond: 0)
        let toB = a.add(b)
        let toA = b.add(a)
        _ = a.seal(makePacket(), to: toB, now: .zero)
        let first = try #require(a.outgoing().first)
        #expect(b.receive(first, from: a.source, now: .zero).0 == .drop(.cookieRequired))
        let reply = try #require(b.device.takeOutgoing().first)
        #expect(reply.destination == .source(a.source))
        #expect(a.receive(reply.bytes, now: .zero).0 == .cookie(toB))
        #expect(a.outgoing().isEmpty)
        let retryTime = try #require(a.device.nextDeadline)
        a.device.tick(now: retryTime)
        let second = try #require(a.outgoing().first)
        let elsewhere = AddressPort(a.source.address, port: 10)
        #expect(b.receive(second, from: elsewhere, now: retryTime).0 == .drop(.cookieRequired))
        #expect(b.receive(second, from: a.source, now: retryTime).0 == .handshake(toA))
    }

    @Test func `a wrong first code is dropped before anything is computed`() throws {
        let pair = NodePair()
        _ = pair.a.seal(makePacket(), to: pair.toB, now: .zero)
        var message = try #require(pair.a.outgoing().first)
        message[120] ^= 1
        #expect(pair.b.receive(message, now: .zero).0 == .drop(.badMAC1))
    }

    @Test func `a forged cookie reply is dropped`() throws {
        let pair = NodePair()
        _ = pair.a.seal(makePacket(), to: pair.toB, now: .zero)
        let message = try #require(pair.a.outgoing().first)
        let forged = [3, 0, 0, 0] + message[4..<8] + [UInt8](repeating: 5, count: 56)
        #expect(pair.a.receive(forged, now: .zero).0 == .drop(.badHandshake))
    }

    @Test func `load is remembered for a second and limits each source`() {
        var load = HandshakeLoad(limit: 2, seed: 3)
        let decisions = (0..<4).map { _ in load.isUnderLoad(at: .seconds(10)) }
        #expect(decisions == [false, false, true, true])
        let soon = load.isUnderLoad(at: .seconds(10.9))
        let later = load.isUnderLoad(at: .seconds(12))
        #expect(soon && !later)
        let source = IPAddress.v4(IPv4Address(192, 0, 2, 1))
        let admitted = (0..<7).map { _ in load.admits(source, at: .seconds(20)) }
        #expect(admitted == [true, true, true, true, true, false, false])
        let afterPause = load.admits(source, at: .seconds(20.06))
        #expect(afterPause)
    }
}

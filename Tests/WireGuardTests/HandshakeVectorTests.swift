import Foundation
import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@testable import WireGuard

/// Two devices with the keys, random numbers and time of a recorded handshake.
struct RecordedSession {
    let initiator: TestNode
    let responder: TestNode
    let toResponder: PeerIndex
    let start: MonotonicTime = .seconds(1)

    init(_ value: JSONValue) throws {
        let stamp = try #require(value.timestamp_tai64n?.hex)
        let seconds = stamp[..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } - ((1 << 62) + 10)
        let nanoseconds = stamp[8...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // The handshake begins one second after the anchor.
        let anchor = (seconds - 1) * 1_000_000_000 + nanoseconds
        func node(_ role: String) throws -> TestNode {
            let key = try #require(value["\(role)_static_private"]?.hex.flatMap { NodePrivateKey(bytes: $0) })
            let ephemeral = try #require(value["\(role)_ephemeral_private"]?.hex)
            let index = try #require(value["\(role)_index"]?.uint64)
            let indexBytes = (0..<8).map { UInt8(truncatingIfNeeded: index >> UInt64($0 * 8)) }
            return TestNode(key: key, unixNanoseconds: anchor, generator: ScriptedGenerator(ephemeral + indexBytes))
        }
        (initiator, responder) = (try node("initiator"), try node("responder"))
        let psk = try #require(value.psk?.hex)
        let presharedKey = psk.allSatisfy { $0 == 0 } ? nil : SecretBytes(copying: psk.span)
        toResponder = initiator.add(responder, presharedKey: presharedKey)
        responder.add(initiator, presharedKey: presharedKey)
    }

    /// Runs the handshake for `packet`; returns initiation, response and everything that the initiator then sends.
    func run(packet: [UInt8]) throws -> (initiation: [UInt8], response: [UInt8], rest: [[UInt8]]) {
        #expect(initiator.seal(packet, to: toResponder, now: start).0 == .queued)
        let initiation = try #require(initiator.outgoing().first)
        _ = responder.receive(initiation, now: start)
        let response = try #require(responder.outgoing().first)
        let verdict = initiator.receive(response, now: start).0
        #expect(verdict == .handshakeCompleted(toResponder))
        return (initiation, response, initiator.outgoing())
    }
}

@Suite("Handshake and transport (golden vectors)") struct HandshakeVectorTests {
    @Test(arguments: try VectorFile("wireguard_handshake", in: Bundle.module).cases)
    func `both roles write the recorded handshake`(vector: VectorCase) throws {
        let value = vector.value
        let session = try RecordedSession(value)
        let messages = try session.run(packet: makePacket())
        #expect(messages.initiation.hex == value.initiation?.string)
        #expect(messages.response.hex == value.response?.string)
        #expect(MessageKeys.mac1(session.responder.device.publicKey).hex == value.initiation_mac1_key?.string)
        #expect(MessageKeys.mac1(session.initiator.device.publicKey).hex == value.response_mac1_key?.string)
        #expect(session.initiator.device.publicKey.bytes.hex == value.initiator_static_public?.string)
        #expect(session.responder.device.publicKey.bytes.hex == value.responder_static_public?.string)

        let toResponder = try #require(value.initiator_to_responder_key?.hex)
        let first = try #require(messages.rest.first)
        var plaintext = [UInt8](repeating: 0, count: first.count - 32)
        #expect(open(first, key: toResponder, into: &plaintext))
        #expect(Array(plaintext.prefix(40)) == makePacket())
    }

    private func open(_ message: [UInt8], key: [UInt8], into plaintext: inout [UInt8]) -> Bool {
        let cipher = TransportCipher(key: SecretBytes(copying: key.span), direction: .opening)
        var elements = plaintext.mutableSpan
        var octets = elements.mutableBytes
        return cipher.open(message.span.extracting(16..<message.count), counter: 0, into: &octets, at: 0)
    }

    @Test func `every transport message is sealed and opened as recorded`() throws {
        let sessions = try VectorFile("wireguard_handshake", in: Bundle.module).cases
        let cases = try VectorFile("wireguard_transport", in: Bundle.module).cases
        var checked = 0
        for recorded in sessions {
            let name = recorded.value.session?.string
            let session = try RecordedSession(recorded.value)
            _ = try session.run(packet: makePacket())
            for vector in cases where vector.value.session?.string == name {
                try check(vector.value, session)
                checked += 1
            }
        }
        #expect(checked == cases.count)
    }

    private func check(_ value: JSONValue, _ session: RecordedSession) throws {
        let isFromInitiator = value.from?.string == "initiator"
        let sender = isFromInitiator ? session.initiator : session.responder
        let receiver = isFromInitiator ? session.responder : session.initiator
        let message = try #require(value.message?.hex)
        let now = session.start + .seconds(1)
        if value.accept?.bool == false {
            guard case .drop = receiver.receive(message, now: now).0 else {
                Issue.record("accepted: \(value)")
                return
            }
            return
        }
        let inner = try #require(value.inner_packet?.hex)
        let padded = try #require(value.padded_plaintext?.hex)
        #expect(inner.count + WireGuardDevice.paddingCount(for: inner.count) == padded.count)
        let keypair = try #require(sender.anyKeypair)
        keypair.sendCounter = try #require(value.counter?.uint64)
        var sealed = [UInt8](repeating: 0, count: 16) + padded + [UInt8](repeating: 0, count: 16)
        keypair.seal(&sealed, count: padded.count)
        #expect(sealed == message)

        let (verdict, packet) = receiver.receive(message, now: now)
        if inner.isEmpty {
            guard case .keepalive = verdict else {
                Issue.record("no keep-alive: \(verdict)")
                return
            }
        } else {
            #expect(packet == inner, "\(verdict)")
        }
        #expect(receiver.receive(message, now: now).0 == .drop(.replayed))
    }

    @Test(arguments: try VectorFile("wireguard_cookie", in: Bundle.module).cases)
    func `codes and cookies are the recorded ones`(vector: VectorCase) throws {
        let value = vector.value
        let checkerKey = try #require(value.checker_public?.hex.flatMap { NodePublicKey(bytes: $0) })
        var checker = CookieChecker(publicKey: checkerKey)
        if value.accept?.bool == false {
            let message = try #require(value.message?.hex)
            let isValid = checker.hasValidMAC1(message.span)
            #expect(!isValid)
            return
        }
        #expect(MessageKeys.mac1(checkerKey).hex == value.mac1_key?.string)
        #expect(MessageKeys.cookie(checkerKey).hex == value.cookie_encryption_key?.string)
        let plain = try #require(value.message_without_cookie?.hex)
        var message = Array(plain.dropLast(32)) + [UInt8](repeating: 0, count: 32)
        var generator = CookieGenerator(publicKey: checkerKey)
        generator.addMACs(to: &message, now: .zero)
        #expect(message == plain)
        let isValid = checker.hasValidMAC1(message.span)
        #expect(isValid)

        let source = try #require(value.source_bytes?.hex)
        let recordedReply = try #require(value.cookie_reply?.hex)
        let secret = try #require(value.checker_secret?.hex)
        var random = ScriptedGenerator(secret + recordedReply[8..<32])
        let reply = try checker.makeReply(to: message.span, source: source, now: .zero, generator: &random)
        #expect(reply == recordedReply)
        try generator.consume(reply.span, now: .zero)
        message.replaceSubrange((message.count - 32)..., with: [UInt8](repeating: 0, count: 32))
        generator.addMACs(to: &message, now: .zero)
        #expect(message.hex == value.message_with_mac2?.string)
        let isKnown = checker.hasValidMAC2(message.span, source: source, now: .seconds(119))
        let isKnownElsewhere = checker.hasValidMAC2(message.span, source: source + [0], now: .seconds(119))
        let isKnownLater = checker.hasValidMAC2(message.span, source: source, now: .seconds(120))
        #expect(isKnown && !isKnownElsewhere && !isKnownLater)
        // An expired cookie is no longer used.
        generator.addMACs(to: &message, now: .seconds(120))
        message.replaceSubrange((message.count - 16)..., with: [UInt8](repeating: 0, count: 16))
        #expect(message == plain)
    }

    @Test(arguments: try VectorFile("wireguard_replay", in: Bundle.module).cases)
    func `the replay window decides as recorded`(vector: VectorCase) throws {
        var filter = ReplayFilter()
        let limit = try #require(vector.value.limit?.string.flatMap { UInt64($0) })
        #expect(limit == WireGuardConstants.rejectAfterMessages)
        for step in try #require(vector.value.sequence?.array) {
            let counter = try #require(step.counter?.string.flatMap { UInt64($0) })
            let accepted = filter.accept(counter, limit: limit)
            #expect(accepted == step.accept?.bool, "\(counter)")
        }
    }
}

import Disco
import NetTypes
import Testing
import WarrenCrypto

@Suite("DiscoMessage") struct DiscoMessageTests {
    @Test func `a payload cut anywhere parses or is refused, and never traps`() throws {
        for message in try samples() {
            let payload = encoded(message)
            #expect(payload.count == message.byteCount)
            #expect(try DiscoMessage(parsing: payload.span) == message)
            for length in 0..<payload.count {
                _ = try? DiscoMessage(parsing: payload.span.extracting(first: length))
            }
        }
    }

    @Test func `random octets never trap`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let octets = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? DiscoMessage(parsing: octets.span)
            _ = DiscoEnvelope.sender(of: octets.span)
        }
    }

    @Test func `an envelope opens for its receiver alone, at any cut`() throws {
        let alice = DiscoPrivateKey()
        let bob = DiscoPrivateKey()
        let eve = DiscoPrivateKey()
        for message in try samples() {
            let packet = DiscoEnvelope.seal(
                message,
                from: alice.publicKey,
                with: try NaClBox(precomputing: alice, bob.publicKey)
            )
            #expect(DiscoEnvelope.sender(of: packet.span) == alice.publicKey)
            let box = try NaClBox(precomputing: bob, alice.publicKey)
            #expect(DiscoEnvelope.open(packet.span, with: box) == message)
            #expect(DiscoEnvelope.open(packet.span, with: try NaClBox(precomputing: eve, alice.publicKey)) == nil)
            for length in 0..<packet.count {
                #expect(DiscoEnvelope.open(packet.span.extracting(first: length), with: box) == nil)
            }
        }
    }

    @Test func `an unpadded ping datagram has 124 octets and a pong 110`() throws {
        let ping = DiscoMessage.ping(DiscoPing(transaction: transaction, nodeKey: NodePrivateKey().publicKey))
        #expect(ping.byteCount + DiscoEnvelope.overheadByteCount == 124)
        let pong = DiscoMessage.pong(transaction, source: try #require(AddressPort("10.0.0.1:1")))
        #expect(pong.byteCount + DiscoEnvelope.overheadByteCount == 110)
    }

    private let transaction = TransactionID(high: 0x0102_0304_0506_0708, low: 0x090A_0B0C)

    private func samples() throws -> [DiscoMessage] {
        let ipv4 = try #require(AddressPort("203.0.113.5:41641"))
        let ipv6 = try #require(AddressPort("[2001:db8::1]:9"))
        return [
            .ping(DiscoPing(transaction: transaction, nodeKey: NodePrivateKey().publicKey, paddingByteCount: 7)),
            .ping(DiscoPing(transaction: transaction, nodeKey: nil)),
            .pong(transaction, source: ipv4), .pong(transaction, source: ipv6),
            .callMeMaybe([]), .callMeMaybe([ipv4, ipv6]),
            .relay(.bindEndpoint, body: [UInt8](repeating: 3, count: 72)),
        ]
    }

    private func encoded(_ message: DiscoMessage) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: message.byteCount) { buffer, count in
            var output = OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(buffer), initializedCount: 0)
            message.append(to: &output)
            count = output.finalize(for: UnsafeMutableRawBufferPointer(buffer))
        }
    }
}

import Foundation
import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@Suite("Primitives (golden vectors)") struct PrimitiveVectorTests {
    @Test(arguments: try VectorFile("blake2s_hkdf", in: Bundle.module).cases)
    func `every primitive case holds`(vector: VectorCase) throws {
        let value = vector.value
        switch try #require(value.op?.string) {
        case "blake2s256":
            #expect(BLAKE2s.hash(try bytes(value, "input").span).hex == value.output?.string)
        case "blake2s128_keyed":
            let code = BLAKE2s.mac(key: try bytes(value, "key").span, try bytes(value, "input").span)
            #expect(code.hex == value.output?.string)
        case "hmac_blake2s256":
            let code = BLAKE2s.hmac(key: try bytes(value, "key").span, try bytes(value, "input").span)
            #expect(code.hex == value.output?.string)
        case "kdf1": try checkKDF(value, outputs: ["t1"])
        case "kdf2": try checkKDF(value, outputs: ["t1", "t2"])
        case "kdf3": try checkKDF(value, outputs: ["t1", "t2", "t3"])
        case "hkdf_blake2s":
            let expected = try bytes(value, "okm")
            let derived = NoiseHKDF.derive(
                chainingKey: try bytes(value, "salt").span,
                input: try bytes(value, "ikm").span,
                outputCount: (expected.count + 31) / 32
            )
            #expect(Array(derived.bytes.prefix(expected.count)) == expected)
        case "x25519": try checkX25519(value)
        case "x25519_low_order":
            let key = try #require(NodePrivateKey(bytes: try bytes(value, "a_private")))
            let point = try #require(NodePublicKey(bytes: try bytes(value, "b_public")))
            #expect(throws: CryptoError.lowOrderPoint) { try X25519.sharedSecret(privateKey: key, publicKey: point) }
            #expect(throws: CryptoError.lowOrderPoint) { try NaClBox(precomputing: key, point) }
        case "chacha20poly1305":
            try checkTransportCipher(value, .littleEndian, sealed: try bytes(value, "sealed_le"))
            try checkTransportCipher(value, .bigEndian, sealed: try bytes(value, "sealed_be"))
        case "xchacha20poly1305": try checkXChaCha(value)
        case let operation: Issue.record("no check for \(operation)")
        }
    }

    private func bytes(_ value: JSONValue, _ name: String) throws -> [UInt8] {
        try #require(value[name]?.hex, "\(name)")
    }

    private func checkKDF(_ value: JSONValue, outputs: [String]) throws {
        let derived = NoiseHKDF.derive(
            chainingKey: try bytes(value, "ck").span,
            input: try bytes(value, "input").span,
            outputCount: outputs.count
        )
        #expect(derived.bytes == (try outputs.flatMap { try bytes(value, $0) }))
    }

    private func checkX25519(_ value: JSONValue) throws {
        let first = try #require(NodePrivateKey(bytes: try bytes(value, "a_private")))
        let second = try #require(NodePrivateKey(bytes: try bytes(value, "b_private")))
        #expect(first.publicKey.bytes == (try bytes(value, "a_public")))
        #expect(second.publicKey.bytes == (try bytes(value, "b_public")))
        let shared = try bytes(value, "shared")
        #expect(try X25519.sharedSecret(privateKey: first, publicKey: second.publicKey).bytes == shared)
        #expect(try X25519.sharedSecret(privateKey: second, publicKey: first.publicKey).bytes == shared)
    }

    private func checkTransportCipher(
        _ value: JSONValue,
        _ order: TransportCipher.CounterOrder,
        sealed: [UInt8]
    ) throws {
        let key = SecretBytes(copying: try bytes(value, "key").span)
        let plaintext = try bytes(value, "plaintext")
        let associated = try bytes(value, "aad")
        let counter = try #require(UInt64(try #require(value.counter?.string)))
        let sealer = TransportCipher(key: key, direction: .sealing, counterOrder: order)
        let opener = TransportCipher(key: key, direction: .opening, counterOrder: order)

        // A context that was used before must give the same result as a fresh one.
        for _ in 0..<2 {
            var output = [UInt8](repeating: 0xEE, count: plaintext.count + 16)
            do {
                var elements = output.mutableSpan
                var octets = elements.mutableBytes
                sealer.seal(plaintext.span, counter: counter, associatedData: associated.span, into: &octets, at: 0)
            }
            #expect(output == sealed)
            var opened = [UInt8](repeating: 0xEE, count: plaintext.count)
            do {
                var elements = opened.mutableSpan
                var octets = elements.mutableBytes
                #expect(
                    opener.open(sealed.span, counter: counter, associatedData: associated.span, into: &octets, at: 0)
                )
            }
            #expect(opened == plaintext)
        }
        try checkInPlace(sealer, opener, plaintext, associated, counter, sealed)
        for position in [0, sealed.count - 1] {
            var forged = sealed
            forged[position] ^= 1
            var opened = [UInt8](repeating: 0xEE, count: plaintext.count)
            do {
                var elements = opened.mutableSpan
                var octets = elements.mutableBytes
                #expect(
                    !opener.open(forged.span, counter: counter, associatedData: associated.span, into: &octets, at: 0)
                )
            }
            #expect(opened.allSatisfy { $0 == 0 })
        }
    }

    private func checkInPlace(
        _ sealer: TransportCipher,
        _ opener: TransportCipher,
        _ plaintext: [UInt8],
        _ associated: [UInt8],
        _ counter: UInt64,
        _ sealed: [UInt8]
    ) throws {
        var buffer = [0x11, 0x22] + plaintext + [UInt8](repeating: 0, count: 16)
        do {
            var elements = buffer.mutableSpan
            var octets = elements.mutableBytes
            sealer.sealInPlace(
                &octets,
                at: 2,
                count: plaintext.count,
                counter: counter,
                associatedData: associated.span
            )
        }
        #expect(buffer == [0x11, 0x22] + sealed)
        do {
            var elements = buffer.mutableSpan
            var octets = elements.mutableBytes
            #expect(
                opener.openInPlace(
                    &octets,
                    at: 2,
                    count: sealed.count,
                    counter: counter,
                    associatedData: associated.span
                )
            )
        }
        #expect(Array(buffer[2..<(2 + plaintext.count)]) == plaintext)
    }

    private func checkXChaCha(_ value: JSONValue) throws {
        let (key, nonce) = (try bytes(value, "key"), try bytes(value, "nonce"))
        let (associated, plaintext) = (try bytes(value, "aad"), try bytes(value, "plaintext"))
        var sealed = try XChaCha20Poly1305.seal(
            plaintext.span,
            key: key.span,
            nonce: nonce.span,
            associatedData: associated.span
        )
        #expect(sealed.hex == value.sealed?.string)
        let opened = try XChaCha20Poly1305.open(
            sealed.span,
            key: key.span,
            nonce: nonce.span,
            associatedData: associated.span
        )
        #expect(opened == plaintext)
        sealed[0] ^= 1
        #expect(throws: CryptoError.authenticationFailed) {
            try XChaCha20Poly1305.open(
                sealed.span,
                key: key.span,
                nonce: nonce.span,
                associatedData: associated.span
            )
        }
    }
}

import Foundation
import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@Suite("Primitives (golden vectors)") struct PrimitiveVectorTests {
    @Test(arguments: try VectorFile("blake2s_hkdf", in: Bundle.module).cases)
    func `every primitive case holds`(vector: VectorCase) throws {
        let value = vector.value
        let operation = try #require(value.op?.string)
        switch operation {
        case "blake2s256":
            let input = try bytes(value, "input")
            let hash = BLAKE2s.hash(input.span)
            #expect(hash.hex == value.output?.string)
        case "blake2s128_keyed":
            let (key, input) = (try bytes(value, "key"), try bytes(value, "input"))
            let code = BLAKE2s.mac(key: key.span, input.span)
            #expect(code.hex == value.output?.string)
        case "hmac_blake2s256":
            let (key, input) = (try bytes(value, "key"), try bytes(value, "input"))
            let code = BLAKE2s.hmac(key: key.span, input.span)
            #expect(code.hex == value.output?.string)
        case "kdf1": try checkKDF(value, outputs: ["t1"])
        case "kdf2": try checkKDF(value, outputs: ["t1", "t2"])
        case "kdf3": try checkKDF(value, outputs: ["t1", "t2", "t3"])
        case "hkdf_blake2s":
            let (expected, salt, input) = (try bytes(value, "okm"), try bytes(value, "salt"), try bytes(value, "ikm"))
            let outputCount = (expected.count + 31) / 32
            let derived = NoiseHKDF.derive(chainingKey: salt.span, input: input.span, outputCount: outputCount)
            #expect(Array(derived.bytes.prefix(expected.count)) == expected)
        case "x25519": try checkX25519(value)
        case "x25519_low_order":
            let (scalar, octets) = (try bytes(value, "a_private"), try bytes(value, "b_public"))
            let key = try #require(NodePrivateKey(bytes: scalar))
            let point = try #require(NodePublicKey(bytes: octets))
            #expect(throws: CryptoError.lowOrderPoint) { try X25519.sharedSecret(privateKey: key, publicKey: point) }
            #expect(throws: CryptoError.lowOrderPoint) { try NaClBox(precomputing: key, point) }
        case "chacha20poly1305":
            try checkTransportCipher(value, .littleEndian, sealed: try bytes(value, "sealed_le"))
            try checkTransportCipher(value, .bigEndian, sealed: try bytes(value, "sealed_be"))
        case "xchacha20poly1305": try checkXChaCha(value)
        default: Issue.record("no check for \(operation)")
        }
    }

    private func bytes(_ value: JSONValue, _ name: String) throws -> [UInt8] {
        try #require(value[name]?.hex, "\(name)")
    }

    private func checkKDF(_ value: JSONValue, outputs: [String]) throws {
        let (chainingKey, input) = (try bytes(value, "ck"), try bytes(value, "input"))
        let derived = NoiseHKDF.derive(chainingKey: chainingKey.span, input: input.span, outputCount: outputs.count)
        let expected = try outputs.flatMap { try bytes(value, $0) }
        #expect(derived.bytes == expected)
    }

    private func checkX25519(_ value: JSONValue) throws {
        let (firstScalar, secondScalar) = (try bytes(value, "a_private"), try bytes(value, "b_private"))
        let first = try #require(NodePrivateKey(bytes: firstScalar))
        let second = try #require(NodePrivateKey(bytes: secondScalar))
        #expect(first.publicKey.bytes.hex == value.a_public?.string)
        #expect(second.publicKey.bytes.hex == value.b_public?.string)
        let shared = try bytes(value, "shared")
        #expect(try X25519.sharedSecret(privateKey: first, publicKey: second.publicKey).bytes == shared)
        #expect(try X25519.sharedSecret(privateKey: second, publicKey: first.publicKey).bytes == shared)
    }

    private func checkTransportCipher(
        _ value: JSONValue,
        _ order: TransportCipher.CounterOrder,
        sealed: [UInt8]
    ) throws {
        let keyBytes = try bytes(value, "key")
        let key = SecretBytes(copying: keyBytes.span)
        let plaintext = try bytes(value, "plaintext")
        let associated = try bytes(value, "aad")
        let counter = try #require(value.counter?.string.flatMap { UInt64($0) })
        let pair = CipherPair(key: key, order: order, counter: counter, associated: associated)

        // A context that was used before must give the same result as a fresh one.
        for _ in 0..<2 {
            #expect(pair.seal(plaintext) == sealed)
            #expect(pair.open(sealed) == plaintext)
            #expect(pair.sealInPlace(plaintext) == sealed)
            #expect(pair.openInPlace(sealed) == plaintext)
        }
        for position in [0, sealed.count - 1] {
            var forged = sealed
            forged[position] ^= 1
            #expect(pair.open(forged) == nil)
            #expect(pair.openInPlace(forged) == nil)
        }
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

/// A cipher in each direction under one key, fed with arrays.
private struct CipherPair {
    let sealer: TransportCipher
    let opener: TransportCipher
    let counter: UInt64
    let associated: [UInt8]

    init(key: SecretBytes, order: TransportCipher.CounterOrder, counter: UInt64, associated: [UInt8]) {
        sealer = TransportCipher(key: key, direction: .sealing, counterOrder: order)
        opener = TransportCipher(key: key, direction: .opening, counterOrder: order)
        (self.counter, self.associated) = (counter, associated)
    }

    func seal(_ plaintext: [UInt8]) -> [UInt8] {
        var output = [UInt8](repeating: 0xEE, count: plaintext.count + 16)
        var elements = output.mutableSpan
        var octets = elements.mutableBytes
        sealer.seal(plaintext.span, counter: counter, associatedData: associated.span, into: &octets, at: 0)
        return output
    }

    func open(_ sealed: [UInt8]) -> [UInt8]? {
        var output = [UInt8](repeating: 0xEE, count: sealed.count - 16)
        var elements = output.mutableSpan
        var octets = elements.mutableBytes
        let isOpen = opener.open(
            sealed.span,
            counter: counter,
            associatedData: associated.span,
            into: &octets,
            at: 0
        )
        // What did not authenticate must not be left lying about.
        if !isOpen { precondition(output.allSatisfy { $0 == 0 }) }
        return isOpen ? output : nil
    }

    func sealInPlace(_ plaintext: [UInt8]) -> [UInt8] {
        var buffer = [0x11, 0x22] + plaintext + [UInt8](repeating: 0, count: 16)
        var elements = buffer.mutableSpan
        var octets = elements.mutableBytes
        sealer.sealInPlace(
            &octets,
            at: 2,
            count: plaintext.count,
            counter: counter,
            associatedData: associated.span
        )
        return Array(buffer.dropFirst(2))
    }

    func openInPlace(_ sealed: [UInt8]) -> [UInt8]? {
        var buffer = [0x11, 0x22] + sealed
        var elements = buffer.mutableSpan
        var octets = elements.mutableBytes
        let isOpen = opener.openInPlace(
            &octets,
            at: 2,
            count: sealed.count,
            counter: counter,
            associatedData: associated.span
        )
        return isOpen ? Array(buffer.dropFirst(2).dropLast(16)) : nil
    }
}

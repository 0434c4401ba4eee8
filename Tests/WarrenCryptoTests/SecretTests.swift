import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@Suite("Secrets at rest and in logs") struct SecretTests {
    @Test func `a sealed secret opens in its own place only`() throws {
        let box = try #require(SecretBox(key: SecretBytes(randomCount: 32)))
        let place = Array("vm/1/auth-key".utf8)
        let secret = Array("tskey-auth-secret".utf8)
        let sealed = try box.seal(secret.span, associatedData: place.span)
        #expect(sealed.count == secret.count + SecretBox.overheadByteCount)
        let opened = try box.open(sealed.span, associatedData: place.span)
        #expect(opened.bytes == secret)
        #expect(throws: CryptoError.authenticationFailed) {
            let otherPlace = Array("vm/2/auth-key".utf8)
            return try box.open(sealed.span, associatedData: otherPlace.span)
        }
        for count in 0..<sealed.count {
            let prefix = Array(sealed[..<count])
            #expect(throws: CryptoError.self) { try box.open(prefix.span, associatedData: place.span) }
        }
        let other = try #require(SecretBox(key: SecretBytes(randomCount: 32)))
        #expect(throws: CryptoError.authenticationFailed) { try other.open(sealed.span, associatedData: place.span) }
        #expect(SecretBox(key: SecretBytes(randomCount: 31)) == nil)
    }

    @Test func `an empty secret can be sealed`() throws {
        let box = try #require(SecretBox(key: SecretBytes(randomCount: 32)))
        let sealed = try box.seal(Span(), associatedData: Span())
        let opened = try box.open(sealed.span, associatedData: Span())
        #expect(opened.count == 0)
    }

    @Test func `secrets do not print`() throws {
        let key = NodePrivateKey()
        let hex = key.secretBytes.bytes.hex
        #expect(!"\(key)".contains(hex) && !"\(key.secretBytes)".contains(hex))
        #expect("\(key)".contains(key.publicKey.short))
    }

    @Test func `random keys are clamped and differ`() {
        let keys = (0..<8).map { _ in NodePrivateKey().secretBytes.bytes }
        #expect(Set(keys).count == keys.count)
        #expect(keys.allSatisfy { $0[0] & 7 == 0 && $0[31] & 0xC0 == 0x40 })
    }

    @Test func `a token hash recognizes its token alone`() throws {
        let hash = TokenHash(of: "wrn_secret")
        #expect(hash.matches("wrn_secret") && !hash.matches("wrn_secreT") && !hash.matches(""))
        let stored = try #require(TokenHash(bytes: hash.bytes))
        #expect(stored.matches("wrn_secret"))
        #expect(TokenHash(bytes: [1, 2, 3]) == nil)
    }

    // FIPS 180-4 example "abc" and RFC 4231 test case 2.
    @Test func `SHA-256 and its HMAC give the published values`() {
        let abc = Array("abc".utf8)
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        let whole = SHA256.hash(abc.span)
        #expect(whole.hex == digest)
        var pieces = SHA256()
        for octet in abc {
            let piece = [octet]
            pieces.update(piece.span)
        }
        let joined = pieces.finalize()
        #expect(joined.hex == digest)
        let (key, message) = (Array("Jefe".utf8), Array("what do ya want for nothing?".utf8))
        let code = HMACSHA256.authenticationCode(for: message.span, key: key.span)
        #expect(code.hex == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        let isValid = HMACSHA256.isValid(code.span, for: message.span, key: key.span)
        let tail = Array(code[1...])
        let isTruncatedValid = HMACSHA256.isValid(tail.span, for: message.span, key: key.span)
        #expect(isValid && !isTruncatedValid)
        let empty = HMACSHA256.authenticationCode(for: Span(), key: Span())
        #expect(empty.count == 32)
    }

    @Test func `comparison sees every octet and the length`() {
        func areEqual(_ first: [UInt8], _ second: [UInt8]) -> Bool {
            ConstantTime.equal(first.span, second.span)
        }
        #expect(areEqual([1, 2, 3], [1, 2, 3]))
        #expect(!areEqual([1, 2, 3], [1, 2, 4]))
        #expect(!areEqual([1, 2, 3], [1, 2]))
        #expect(areEqual([], []))
    }
}

import Foundation
import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@Suite("NaClBox (golden vectors)") struct NaClBoxVectorTests {
    @Test(arguments: try VectorFile("nacl_box", in: Bundle.module).cases)
    func `every box case holds`(vector: VectorCase) throws {
        let value = vector.value
        let sealed = try #require(value.sealed?.hex)
        let receiver = try #require(value.receiver_private?.hex.flatMap { NodePrivateKey(bytes: $0) })
        let senderPublic = try #require(value.sender_public?.hex.flatMap { NodePublicKey(bytes: $0) })
        let receiving = try NaClBox(precomputing: receiver, senderPublic)
        if value.opens?.bool == false {
            let opened = receiving.open(sealed.span)
            #expect(opened == nil)
            return
        }
        let plaintext = try #require(value.plaintext?.hex)
        let opened = receiving.open(sealed.span)
        #expect(opened == plaintext)
        if let sender = value.sender_private?.hex, let nonce = value.nonce?.hex {
            let key = try #require(NodePrivateKey(bytes: sender))
            #expect(key.publicKey == senderPublic)
            let sending = try NaClBox(precomputing: key, receiver.publicKey)
            let resealed = sending.seal(plaintext.span, nonce: nonce)
            #expect(resealed == sealed)
        }
    }

    @Test func `opens its own messages under fresh nonces and no truncation of them`() throws {
        let (first, second) = (DiscoPrivateKey(), DiscoPrivateKey())
        let sending = try NaClBox(precomputing: first, second.publicKey)
        let receiving = try NaClBox(precomputing: second, first.publicKey)
        let message = Array("a message".utf8)
        let sealed = sending.seal(message.span)
        let again = sending.seal(message.span)
        #expect(sealed != again)
        let opened = receiving.open(sealed.span)
        #expect(opened == message)
        for count in 0..<sealed.count {
            let prefix = Array(sealed[..<count])
            let truncated = receiving.open(prefix.span)
            #expect(truncated == nil)
        }
    }
}

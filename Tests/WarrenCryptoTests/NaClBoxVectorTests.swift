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
        let receiver = try #require(NodePrivateKey(bytes: try #require(value.receiver_private?.hex)))
        let senderPublic = try #require(NodePublicKey(bytes: try #require(value.sender_public?.hex)))
        let receiving = try NaClBox(precomputing: receiver, senderPublic)
        if value.opens?.bool == false {
            #expect(receiving.open(sealed.span) == nil)
            return
        }
        let plaintext = try #require(value.plaintext?.hex)
        #expect(receiving.open(sealed.span) == plaintext)
        if let sender = value.sender_private?.hex, let nonce = value.nonce?.hex {
            let key = try #require(NodePrivateKey(bytes: sender))
            #expect(key.publicKey == senderPublic)
            let sending = try NaClBox(precomputing: key, receiver.publicKey)
            #expect(sending.seal(plaintext.span, nonce: nonce) == sealed)
        }
    }

    @Test func `opens its own messages under fresh nonces and no truncation of them`() throws {
        let (first, second) = (DiscoPrivateKey(), DiscoPrivateKey())
        let sending = try NaClBox(precomputing: first, second.publicKey)
        let receiving = try NaClBox(precomputing: second, first.publicKey)
        let message = Array("a message".utf8)
        let sealed = sending.seal(message.span)
        #expect(sealed != sending.seal(message.span))
        #expect(receiving.open(sealed.span) == message)
        for count in 0..<sealed.count {
            #expect(receiving.open(sealed[..<count].span) == nil)
        }
    }
}

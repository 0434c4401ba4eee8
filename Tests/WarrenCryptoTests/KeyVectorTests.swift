import Foundation
import NetTypes
import TestSupport
import Testing
import WarrenCrypto

@Suite("Keys (golden vectors)") struct KeyVectorTests {
    @Test(arguments: try VectorFile("keys", in: Bundle.module).cases)
    func `every key case holds`(vector: VectorCase) throws {
        let value = vector.value
        switch try #require(value.kind?.string) {
        case "machine": try check(MachinePrivateKey.self, value)
        case "node": try check(NodePrivateKey.self, value)
        case "disco": try check(DiscoPrivateKey.self, value)
        case "challenge": try check(ChallengePrivateKey.self, value)
        case "nl": try checkNetworkLock(value)
        case "nacl_precompute":
            let own = try #require(value.private?.hex.flatMap { DiscoPrivateKey(bytes: $0) })
            let peer = try #require(value.peer_public?.hex.flatMap { DiscoPublicKey(bytes: $0) })
            #expect(try NaClBox(precomputing: own, peer).precomputedKey.bytes.hex == value.shared?.string)
        case "zero_json":
            let text = try #require(value.json?.string)
            let expected = try JSONValue(parsing: Data(text.utf8))
            let keys = try JSONDecoder().decode(ZeroKeys.self, from: try expected.data)
            #expect(keys.node.isZero && keys.disco.isZero && keys.machine.isZero && keys.networkLock.isZero)
            let zeros = ZeroKeys(node: .zero, disco: .zero, machine: .zero, networkLock: .zero)
            let encoded = try JSONEncoder().encode(zeros)
            #expect(try JSONValue(parsing: encoded) == expected)
        case let kind: Issue.record("no check for key kind \(kind)")
        }
    }

    private func check<Key: PrivateKey>(_ type: Key.Type, _ value: JSONValue) throws {
        if let invalid = value.invalid_public_text?.string {
            #expect(Key.Public(text: invalid) == nil)
            return
        }
        let publicBytes = try #require(value.public?.hex)
        let publicText = try #require(value.public_text?.string)
        let publicKey = try #require(Key.Public(text: publicText))
        #expect(publicKey.bytes == publicBytes)
        #expect(Key.Public(bytes: publicBytes) == publicKey)
        #expect(publicKey.text == Key.Public.textPrefix + publicBytes.hex)
        if let short = value.short?.string { #expect(publicKey.short == short) }
        if let bytes = value.private?.hex {
            let key = try #require(Key(bytes: bytes))
            #expect(key.publicKey == publicKey)
            if let text = value.private_text?.string {
                #expect(key.text == text)
                let parsed = try #require(Key(text: text))
                #expect(parsed.isEqual(to: key))
            }
        }
        let encoded = try JSONEncoder().encode([publicKey])
        #expect(try JSONDecoder().decode([Key.Public].self, from: encoded) == [publicKey])
    }

    private func checkNetworkLock(_ value: JSONValue) throws {
        if let invalid = value.invalid_public_text?.string {
            #expect(NetworkLockPublicKey(text: invalid) == nil)
            return
        }
        let privateText = try #require(value.private_text?.string)
        let key = try #require(NetworkLockPrivateKey(text: privateText))
        #expect(key.text == privateText)
        #expect(key.publicKey.bytes.hex == value.public?.string)
        #expect(key.publicKey.text == value.public_text?.string)
        let publicText = try #require(value.public_text?.string)
        #expect(NetworkLockPublicKey(text: publicText) == key.publicKey)
        if let text = value.public_text_cli?.string { #expect(NetworkLockPublicKey(text: text) == key.publicKey) }
        if let seed = value.seed?.hex { #expect(NetworkLockPrivateKey(seed: seed)?.text == privateText) }
    }
}

private struct ZeroKeys: Codable {
    let node: NodePublicKey
    let disco: DiscoPublicKey
    let machine: MachinePublicKey
    let networkLock: NetworkLockPublicKey

    enum CodingKeys: String, CodingKey {
        case node = "N"
        case disco = "D"
        case machine = "M"
        case networkLock = "L"
    }
}

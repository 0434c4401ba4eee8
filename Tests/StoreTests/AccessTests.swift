import Foundation
import Store
import Testing
import WarrenModel

@Suite("Tokens, idempotency keys and coordination", .timeLimit(.minutes(1))) struct AccessTests {
    private let fixture: StoreFixture
    private let store: WarrenDatabase
    private var start: Timestamp { fixture.start }

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.open()
    }

    @Test func `a token opens what it was made for, until it ends`() async throws {
        let vm = VMID(now: start)
        let (record, token) = try await store.createToken(
            name: "ci",
            scopes: [.vmRead, .vmConsole],
            vm: vm,
            expiresAt: start + .seconds(10),
            now: start
        )
        #expect(token.reveal().hasPrefix("wrn_") && token.reveal().utf8.count == 47)
        #expect(try await store.token(matching: token.reveal(), now: start) == record)
        #expect(record.answer.scopes == [.vmConsole, .vmRead] && record.answer.token == nil)
        #expect(try await store.token(matching: token.reveal(), now: start + .seconds(10)) == nil)
        for wrong in ["", "wrn_", token.reveal() + "x", String(token.reveal().dropLast()), "Bearer \(token.reveal())"] {
            #expect(try await store.token(matching: wrong, now: start) == nil)
        }
        #expect(try await store.tokens() == [record])
        #expect(try await store.deleteToken(record.id))
        #expect(try await store.deleteToken(record.id) == false)
        #expect(try await store.token(matching: token.reveal(), now: start) == nil)
    }

    @Test func `the same request gets the same answer`() async throws {
        let key = IdempotencyKey(client: "tok_1", method: "POST", path: "/v1/vms", key: "abc")
        let response = StoredResponse(status: 201, headers: [["location", "/v1/vms/x"]], body: [1, 2])
        #expect(try await store.beginRequest(key, body: [1], now: start) == .first)
        #expect(try await store.beginRequest(key, body: [1], now: start) == .inProgress)
        #expect(try await store.beginRequest(key, body: [2], now: start) == .reused)
        try await store.completeRequest(key, response)
        #expect(try await store.beginRequest(key, body: [1], now: start) == .replay(response))
        #expect(try await store.beginRequest(key, body: [2], now: start) == .reused)
        try await store.abandonRequest(key)
        #expect(try await store.beginRequest(key, body: [1], now: start) == .replay(response))
        let other = IdempotencyKey(client: "tok_2", method: "POST", path: "/v1/vms", key: "abc")
        #expect(try await store.beginRequest(other, body: [2], now: start) == .first)
        try await store.abandonRequest(other)
        #expect(try await store.beginRequest(other, body: [2], now: start) == .first)
        #expect(try await store.beginRequest(key, body: [9], now: start + .seconds(86_400)) == .first)
    }

    @Test func `a request that died with the daemon does not block its key`() async throws {
        let key = IdempotencyKey(client: "tok_1", method: "POST", path: "/v1/vms", key: "abc")
        _ = try await store.beginRequest(key, body: [1], now: start)
        try store.close()
        #expect(try await fixture.open().beginRequest(key, body: [1], now: start) == .first)
    }

    @Test func `a coordination server finds its keys and nodes again`() async throws {
        let made = try await store.coordinationSecret(named: "noise") { [1, 2, 3] }
        #expect(made == [1, 2, 3])
        let node = CoordinationNodeRecord(id: 1, nodeKey: "nodekey:a", machineKey: "mkey:a", document: "{}")
        let authKey = CoordinationAuthKeyRecord(
            id: "k1",
            hash: [UInt8](repeating: 7, count: 32),
            document: #"{"used":false}"#
        )
        try await store.save(
            CoordinationChange(
                nodes: [node],
                authKeys: [authKey],
                counters: ["next-address": 5],
                documents: ["policy": "{}", "dns": "[]"]
            )
        )
        try store.close()
        let reopened = try fixture.open()
        #expect(try await reopened.coordinationSecret(named: "noise") { [9] } == [1, 2, 3])
        let state = try await reopened.coordinationState()
        #expect(
            state
                == CoordinationState(
                    nodes: [node],
                    authKeys: [authKey],
                    counters: ["next-address": 5],
                    documents: ["policy": "{}", "dns": "[]"]
                )
        )
        let successor = CoordinationNodeRecord(id: 2, nodeKey: "nodekey:a", machineKey: "mkey:a", document: "{}")
        await #expect(throws: StoreError.self) { try await reopened.save(CoordinationChange(nodes: [successor])) }
        try await reopened.save(
            CoordinationChange(
                nodes: [successor],
                removedNodes: [1],
                removedAuthKeys: ["k1"],
                counters: ["next-address": 6],
                documents: ["dns": nil, "policy": "[1]"]
            )
        )
        let after = try await reopened.coordinationState()
        #expect(after.nodes == [successor] && after.authKeys.isEmpty && after.counters == ["next-address": 6])
        #expect(after.documents == ["policy": "[1]"])
    }
}

import Foundation
import NetTypes
import Store
import Tailnet
import TestSupport
import Testing
import VirtualMachines
import WarrenCrypto
import WarrenModel

@Suite("A VM and its node", .timeLimit(.minutes(5)), .enabled(if: GuestPrerequisites.areMet))
struct VMNetworkTests {
    private func patch(_ text: String) throws -> VMPatch { VMPatch(networkInterface: try JSONTree(parsing: text)) }

    private func events(_ host: VMHost, _ type: EventType) async throws -> [JSONTree] {
        try await host.database.events(after: 0, limit: 500).records.map(\.event).filter { $0.type == type }.map(\.data)
    }

    private func withVM(
        _ fixture: HostFixture,
        _ body: (VMRegistry, VMHost, FakeNode) async throws -> Void
    ) async throws {
        try await GuestSlots.shared.run {
            do {
                try await fixture.withRegistry { registry, host in
                    let created = try await registry.create(
                        try HostFixture.request(#""name": "one", "networkInterface": {}"#)
                    )
                    let node = fixture.nodes.node(of: created.record.id)
                    let up = try await registry.wait(
                        for: VMCondition(state: .running),
                        of: "one",
                        timeout: .seconds(60)
                    )
                    #expect(up.reached)
                    while await node.runCount == 0 { await Task.yield() }
                    try await body(registry, host, node)
                }
            } catch {
                await fixture.endGuests()
                throw error
            }
            await fixture.endGuests()
        }
    }

    @Test func `a node that runs is told of changes at once, and only a stopped VM moves`() async throws {
        try await withVM(try HostFixture()) { registry, host, node in
            let edited = try await registry.edit(try patch(#"{"exitNode": "gate", "tags": ["tag:a"]}"#), of: "one")
            #expect(edited.record.status.generation == 2)
            let told = try #require(await node.preferences.last)
            #expect(told.exitNode == .named("gate") && told.tags == ["tag:a"] && told.hostname == "one")
            #expect(try await registry.edit(try patch("{}"), of: "one").record.status.generation == 2)
            #expect(try await events(host, .updated).count == 1)
            await #expect(throws: VMError.notStopped(.running, members: ["networkInterface.transport"])) {
                try await registry.edit(try patch(#"{"transport": "websocket"}"#), of: "one")
            }
            await #expect(throws: VMError.changedMeanwhile) {
                try await registry.edit(try patch(#"{"shieldsUp": true}"#), of: "one", expecting: 1)
            }

            let identity = NodeIdentityRecord(
                control: .embedded,
                machineKey: MachinePrivateKey(),
                nodeKey: NodePrivateKey(),
                isRegistered: true
            )
            try await host.database.saveIdentity(identity, of: edited.record.id)
            _ = try await registry.perform(.stop(grace: nil), on: "one")
            _ = try await registry.wait(for: VMCondition(state: .stopped), of: "one", timeout: .seconds(30))
            let moved = try await registry.edit(try patch(#"{"controlUrl": "https://hs.example.com"}"#), of: "one")
            #expect(moved.record.spec.networkInterface?.control.description == "https://hs.example.com")
            #expect(try await host.database.identity(of: edited.record.id) == nil)
            let jobs = try await host.database.dueLogouts(now: host.now)
            #expect(jobs.map { $0.identity.nodeKey.publicKey } == [identity.nodeKey.publicKey])
        }
    }

    @Test func `warnings of a key's end are given once for each end, and exit nodes are told`() async throws {
        try await withVM(try HostFixture()) { registry, host, node in
            let end = host.now + .seconds(6 * 86_400)
            // A report is a level: each is seen before the next is made.
            func reached(_ type: EventType, _ count: Int) async throws {
                while try await events(host, type).count < count { try await Task.sleep(for: .milliseconds(5)) }
            }
            await node.enter(.running, addresses: ["100.64.0.7"])
            await node.warn(.week, of: end)
            try await reached(.networkKeyExpiring, 1)
            await node.useExitNode("gate.example.net")
            try await reached(.networkExitNodeChanged, 1)
            await node.warn(.week, of: end)
            await node.warn(.day, of: end)
            try await reached(.networkKeyExpiring, 2)
            await node.warn(nil, of: end + .seconds(86_400 * 90))
            await node.useExitNode(nil)
            try await reached(.networkExitNodeChanged, 2)
            let days = try await events(host, .networkKeyExpiring).map { $0["days"]?.integer }
            #expect(days == [7, 1])
            let exits = try await events(host, .networkExitNodeChanged)
            #expect(exits.first?["internet"] == "exit-node:gate.example.net")
            #expect(exits.last?["exitNode"] == .null && exits.last?["previous"] == "gate.example.net")
            // Waiting for a login ends for a node that needs none.
            let settled = try await registry.wait(
                for: VMCondition(isLoginSettled: true),
                of: "one",
                timeout: .seconds(5)
            )
            #expect(settled.reached)
        }
    }

    @Test func `login, logout and ping go to the node, and need one that runs`() async throws {
        try await withVM(try HostFixture()) { registry, host, node in
            let record = try await registry.logIn(
                NetworkLoginRequest(try JSONTree(parsing: #"{"authKey": "tskey-auth-new"}"#)),
                of: "one"
            )
            #expect(record.spec.networkInterface?.hasAuthKey == true)
            #expect(await node.logins.map { $0?.reveal() } == ["tskey-auth-new"])
            #expect(try await host.database.secrets(of: record.id).authKey?.reveal() == "tskey-auth-new")
            _ = try await registry.logIn(NetworkLoginRequest(.object([:])), of: "one")
            #expect(try await host.database.secrets(of: record.id).authKey == nil)
            let request = NetworkPingRequest(peer: "peer", kind: .tsmp)
            await #expect(throws: VMError.networkNotRunning("one")) {
                try await registry.ping(request, from: "one")
            }
            await node.enter(.running, addresses: ["100.64.0.7"])
            #expect(try await registry.ping(request, from: "one").replies.first?.path == "derp:nyc")
            await #expect(throws: VMError.peerNotFound("nobody")) {
                try await registry.ping(NetworkPingRequest(peer: "nobody"), from: "one")
            }
            _ = try await registry.logOut(of: "one")
            _ = try await registry.perform(.stop(grace: nil), on: "one")
            _ = try await registry.wait(for: VMCondition(state: .stopped), of: "one", timeout: .seconds(30))
            await #expect(throws: VMError.networkNotRunning("one")) { try await registry.logOut(of: "one") }
        }
    }
}

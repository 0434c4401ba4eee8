import Foundation
import Store
import Testing
import WarrenCrypto
import WarrenModel

@Suite("VMs in the store", .timeLimit(.minutes(1))) struct VMStoreTests {
    private let fixture: StoreFixture
    private let store: WarrenDatabase
    private var start: Timestamp { fixture.start }

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.open()
    }

    @Test func `names are unique among VMs that are not deleted`() async throws {
        let first = try await fixture.makeVM("web", in: store)
        await #expect(throws: StoreError.nameTaken(first.spec.name)) { try await fixture.makeVM("web", in: store) }
        let other = try await fixture.makeVM("db", in: store)
        await #expect(throws: StoreError.nameTaken(first.spec.name)) {
            try await store.updateVM(other.id, now: start) { record in
                record.spec.name = first.spec.name
                return []
            }
        }
        _ = try await store.finishDeletion(of: first.id, now: start)
        #expect(try await store.vm(named: "web") == nil)
        let second = try await fixture.makeVM("web", in: store)
        #expect(try await store.vm(named: "web")?.id == second.id)
        #expect(try await store.vm(first.id)?.deletedAt == start)
        #expect(try await store.vms().map(\.spec.name.text).sorted() == ["db", "web"])
    }

    @Test func `generations count what they are for`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        func tag() async throws -> String? { try await store.vm(vm.id)?.virtualMachine.entityTag }
        #expect(try await tag() == "\"1.1\"")
        _ = try await store.updateVM(vm.id, now: start) { record in
            record.status.network?.peerCount = 5
            record.status.network?.homeDerp = nil
            record.runtime = ["boots": 1]
            return []
        }
        #expect(try await tag() == "\"1.1\"")
        #expect(try await store.vm(vm.id)?.runtime == ["boots": 1])
        _ = try await store.updateVM(vm.id, now: start) { record in
            record.status.state = .running
            return [EventDraft(.running)]
        }
        #expect(try await tag() == "\"1.2\"")
        _ = try await store.updateVM(vm.id, now: start) { record in
            record.spec.labels = ["a": "b"]
            return []
        }
        #expect(try await tag() == "\"2.2\"")
        #expect(try await store.vms(matching: VMFilter(labels: ["a": "b"])).map(\.id) == [vm.id])
        #expect(try await store.vms(matching: VMFilter(state: .stopped)).isEmpty)
    }

    @Test func `a change that fails leaves no trace`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        struct Refused: Error {}
        await #expect(throws: StoreError.self) {
            try await store.updateVM(vm.id, now: start) { record in
                record.status.state = .failed
                throw Refused()
            }
        }
        #expect(try await store.vm(vm.id) == vm)
        await #expect(throws: StoreError.notFound) {
            try await store.updateVM(VMID(now: start), now: start) { _ in [] }
        }
        #expect(store.latestEvent == 1)
    }

    @Test func `pages through VMs in order of making`() async throws {
        var ids: [VMID] = []
        for index in 0..<5 { ids.append(try await fixture.makeVM("vm-\(index)", in: store).id) }
        ids.sort()
        let first = try await store.vms(limit: 2)
        #expect(first.map(\.id) == Array(ids[..<2]))
        #expect(try await store.vms(after: ids[1], limit: 9).map(\.id) == Array(ids[2...]))
    }

    @Test func `an identity is saved, and the auth key wiped with it`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        #expect(try await store.identity(of: vm.id) == nil)
        var identity = NodeIdentityRecord(
            control: .embedded,
            machineKey: .init(),
            nodeKey: .init(),
            details: ["user": "u"]
        )
        try await store.saveIdentity(identity, of: vm.id)
        #expect(try await store.secrets(of: vm.id).authKey != nil)
        let candidate = NodePrivateKey()
        identity.candidateKey = candidate
        identity.nodeKey = NodePrivateKey()
        identity.isRegistered = true
        try await store.saveIdentity(identity, of: vm.id, wipingAuthKey: true)
        let found = try #require(try await store.identity(of: vm.id))
        #expect(found.nodeKey.isEqual(to: identity.nodeKey) && found.candidateKey?.isEqual(to: candidate) == true)
        #expect(found.isRegistered && found.details == ["user": "u"] && found.control == .embedded)
        let secrets = try await store.secrets(of: vm.id)
        #expect(secrets.authKey == nil && secrets.callbacks.count == 3)
        await #expect(throws: StoreError.notFound) { try await store.saveIdentity(identity, of: VMID(now: start)) }
        _ = try await store.saveAuthKey(SecretText("again"), of: vm.id, now: start)
        #expect(try await store.secrets(of: vm.id).authKey?.reveal() == "again")
    }

    @Test func `deleting a registered node leaves a durable logout job`() async throws {
        let identity = NodeIdentityRecord(control: .embedded, machineKey: .init(), nodeKey: .init(), isRegistered: true)
        let vm = try await fixture.makeVM("web", in: store, identity: identity)
        let deleted = try await store.finishDeletion(of: vm.id, now: start)
        #expect(deleted.status.network?.cleanup == .pending)
        #expect(try await store.identity(of: vm.id) == nil)
        #expect(try await store.secrets(of: vm.id).authKey == nil)
        #expect(store.logoutLevel == 1)
        try store.close()

        let reopened = try fixture.open()
        let job = try #require(try await reopened.dueLogouts(now: start).first)
        #expect(job.vmID == vm.id && job.identity.nodeKey.isEqual(to: identity.nodeKey))
        try await reopened.finishLogout(job.id, .retry(at: start + .seconds(60), error: "unreachable"), now: start)
        #expect(try await reopened.dueLogouts(now: start).isEmpty)
        #expect(try await reopened.nextLogout() == start + .seconds(60))
        try await reopened.purgeDeletedVMs(before: start + .seconds(1_000_000))
        #expect(try await reopened.vm(vm.id) != nil)
        #expect(try await reopened.dueLogouts(now: start + .seconds(60)).first?.attempts == 1)
        try await reopened.finishLogout(job.id, .done, now: start + .seconds(61))
        #expect(try await reopened.nextLogout() == nil)
        #expect(try await reopened.vm(vm.id)?.status.network?.cleanup == .done)
        #expect(
            try await reopened.events(after: nil, limit: 9).records.map(\.event.type) == [
                .created, .deleted, .networkRemoved,
            ]
        )
        try await reopened.purgeDeletedVMs(before: start + .seconds(1_000_000))
        #expect(try await reopened.vm(vm.id) == nil)
    }

    @Test func `a node that never registered needs no logout`() async throws {
        let identity = NodeIdentityRecord(control: .embedded, machineKey: .init(), nodeKey: .init())
        let vm = try await fixture.makeVM("web", in: store, identity: identity)
        #expect(try await store.finishDeletion(of: vm.id, now: start).status.network?.cleanup == .done)
        #expect(try await store.dueLogouts(now: start).isEmpty)
    }

    @Test func `a logout given up wipes the keys and says so`() async throws {
        let identity = NodeIdentityRecord(control: .embedded, machineKey: .init(), nodeKey: .init(), isRegistered: true)
        let vm = try await fixture.makeVM("web", in: store, identity: identity)
        _ = try await store.finishDeletion(of: vm.id, now: start)
        let job = try #require(try await store.dueLogouts(now: start).first)
        try await store.finishLogout(job.id, .gaveUp(error: "no answer for a week"), now: start)
        #expect(try await store.vm(vm.id)?.status.network?.cleanup == .gaveUp)
        #expect(try await store.dueLogouts(now: start + .seconds(9_000_000)).isEmpty)
        let last = try #require(try await store.events(after: nil, limit: 9).records.last?.event)
        #expect(last.type == .networkRemoved && last.data["cleanup"] == "gave-up")
    }

    @Test func `an identity that is given up is logged out`() async throws {
        let old = NodeIdentityRecord(control: .embedded, machineKey: .init(), nodeKey: .init(), isRegistered: true)
        let vm = try await fixture.makeVM("web", in: store, identity: old)
        let edited = try await store.editVM(vm.id, givingUpIdentity: true, now: start) { record, secrets in
            record.spec.labels["moved"] = "yes"
            secrets.authKey = nil
        }
        #expect(edited.spec.labels["moved"] == "yes" && edited.status.generation == vm.status.generation + 1)
        #expect(try await store.identity(of: vm.id) == nil)
        #expect(try await store.secrets(of: vm.id).authKey == nil)
        #expect(try await store.dueLogouts(now: start).first?.identity.nodeKey.isEqual(to: old.nodeKey) == true)
    }
}

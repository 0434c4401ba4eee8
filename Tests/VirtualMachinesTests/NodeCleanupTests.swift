import Store
import Synchronization
import Testing
import VirtualMachines
import WarrenCrypto
import WarrenModel

@Suite("NodeCleanup", .timeLimit(.minutes(1)))
struct NodeCleanupTests {
    /// A VM whose registered node was deleted at `age` before now, and its key.
    private func deleteVM(in host: VMHost, age: Duration = .zero) async throws -> (VMID, NodePublicKey) {
        let id = VMID(now: host.now), then = host.now + (.zero - age)
        let request = try HostFixture.request(#""name": "gone", "networkInterface": {}"#)
        var generator = SystemRandomNumberGenerator()
        let (spec, secrets) = request.resolved(defaults: host.limits.defaults, using: &generator)
        _ = try await host.database.createVM(
            id: id,
            spec: spec,
            secrets: secrets,
            status: VMStatus(
                desiredState: .stopped,
                state: .stopped,
                stateSince: then,
                network: NetworkStatus(since: then)
            ),
            now: then
        )
        let identity = NodeIdentityRecord(
            control: .embedded,
            machineKey: MachinePrivateKey(),
            nodeKey: NodePrivateKey(),
            isRegistered: true
        )
        try await host.database.saveIdentity(identity, of: id)
        let record = try await host.database.finishDeletion(of: id, now: then)
        #expect(record.status.network?.cleanup == .pending)
        return (id, identity.nodeKey.publicKey)
    }

    private func withCleanup(_ host: VMHost, _ body: () async throws -> Void) async throws {
        let task = Task { try await NodeCleanup(host: host).run() }
        do { try await body() } catch {
            task.cancel()
            throw error
        }
        task.cancel()
        // A service that is cancelled ends, and ends well.
        try await task.value
    }

    @Test func `logs the node of a deleted VM out, also when it failed at first`() async throws {
        let fixture = try HostFixture()
        fixture.nodes.failures.withLock { $0 = 1 }
        let host = try fixture.makeHost()
        let (id, key) = try await deleteVM(in: host)
        try await withCleanup(host) {
            while try await host.database.vm(id)?.status.network?.cleanup != .done { await Task.yield() }
        }
        #expect(fixture.nodes.logouts.withLock { $0 } == [key])
        #expect(try await host.database.identity(of: id) == nil)
        try host.database.close()
    }

    @Test func `takes up after a restart what an earlier daemon left`() async throws {
        let fixture = try HostFixture()
        let first = try fixture.makeHost()
        let (id, key) = try await deleteVM(in: first)
        try first.database.close()
        let second = try fixture.makeHost()
        try await withCleanup(second) {
            while try await second.database.vm(id)?.status.network?.cleanup != .done { await Task.yield() }
        }
        #expect(fixture.nodes.logouts.withLock { $0 } == [key])
        try second.database.close()
    }

    @Test func `gives up after a week, with an event`() async throws {
        let fixture = try HostFixture()
        fixture.nodes.failures.withLock { $0 = .max }
        let host = try fixture.makeHost()
        let (id, _) = try await deleteVM(in: host, age: .seconds(8 * 86_400))
        try await withCleanup(host) {
            while try await host.database.nextLogout() != nil { await Task.yield() }
        }
        #expect(fixture.nodes.logouts.withLock { $0.isEmpty })
        let events = try await host.database.events(after: 0, limit: 100).records.filter { $0.vmID == id }
        #expect(events.last?.event.type == .networkRemoved)
        try host.database.close()
    }
}

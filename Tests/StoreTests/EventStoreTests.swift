import Foundation
import Testing
import WarrenModel

@testable import Store

@Suite("Events in the store", .timeLimit(.minutes(1))) struct EventStoreTests {
    private let fixture: StoreFixture
    private let store: WarrenDatabase
    private var start: Timestamp { fixture.start }

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.open()
    }

    @Test func `pages by sequence, filtered by VM and type`() async throws {
        let web = try await fixture.makeVM("web", in: store)
        let db = try await fixture.makeVM("db", in: store)
        for type in [EventType.starting, .running, .stopped] {
            try await store.append(EventDraft(type), about: web.id, now: start)
        }
        try await store.append(EventDraft(.running), about: db.id, now: start)
        let all = try await store.events(after: nil, limit: 100)
        #expect(all.records.map(\.event.seq) == [1, 2, 3, 4, 5, 6] && all.position == 6 && !all.hasMore)
        #expect(all.records[0].event.data["vm"] == ["id": .string(web.id.description), "name": "web", "labels": [:]])
        let first = try await store.events(after: 0, filter: EventFilter(vm: web.id), limit: 2)
        #expect(first.records.map(\.event.seq) == [1, 3] && first.position == 3 && first.hasMore)
        let rest = try await store.events(after: first.position, filter: EventFilter(vm: web.id), limit: 2)
        #expect(rest.records.map(\.event.seq) == [4, 5] && rest.position == 6 && !rest.hasMore)
        let running = try await store.events(after: 0, filter: EventFilter(types: [.running]), limit: 9)
        #expect(running.records.map(\.vmID) == [web.id, db.id])
        #expect(try await store.events(after: 0, filter: EventFilter(types: []), limit: 9).records.isEmpty)
        #expect(Set(all.records.map(\.event.id)).count == 6)
    }

    @Test func `a waiting reader is woken, and one that comes late does not wait`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        async let woken = store.waitForEvents(after: 1)
        try await store.append(EventDraft(.running), about: vm.id, now: start)
        #expect(await woken == 2)
        #expect(await store.waitForEvents(after: 0) == 2)
        let cancelled = Task { await store.waitForEvents(after: 99) }
        cancelled.cancel()
        #expect(await cancelled.value == 2)
    }

    @Test func `what was trimmed is said to be gone`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        for _ in 0..<9 { try await store.append(EventDraft(.running), about: vm.id, now: start) }
        try await store.trimEvents(keeping: 4)
        #expect(try await store.events(after: nil, limit: 100).records.map(\.event.seq) == [7, 8, 9, 10])
        await #expect(throws: StoreError.eventsTrimmed(oldest: 7)) { try await store.events(after: 5, limit: 9) }
        #expect(try await store.events(after: 6, limit: 9).records.count == 4)
        try await store.trimEvents(keeping: 0)
        #expect(try await store.events(after: nil, limit: 9).records.isEmpty)
        try store.close()
        let reopened = try fixture.open()
        #expect(reopened.latestEvent == 10)
        try await reopened.append(EventDraft(.running), about: vm.id, now: start)
        #expect(try await reopened.events(after: 10, limit: 9).records.map(\.event.seq) == [11])
    }

    @Test func `a login URL is shown until its login ended`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        let url = "https://c.example/login/1"
        _ = try await fixture.askForLogin(url, vm: vm.id, in: store, at: start)
        let pending = try #require(try await store.events(after: 1, limit: 9).records.first)
        #expect(pending.event.data["loginUrl"] == "https://c.example/…")
        #expect(pending.revealed.data["loginUrl"] == .string(url))
        _ = try await store.updateVM(vm.id, now: start) { record in
            record.status.network?.enter(.running, now: record.status.stateSince)
            record.status.network?.loginUrl = nil
            return [.stateChanged(to: .running, from: .needsLogin)]
        }
        let ended = try #require(try await store.events(after: 1, limit: 9).records.first)
        #expect(ended.revealed == ended.event && ended.loginURL == nil)
        #expect(try await store.vm(vm.id)?.status.network?.loginUrl == nil)
    }

    @Test func `what is old is forgotten, and what is not stays`() async throws {
        let old = try await fixture.makeVM("old", in: store)
        let live = try await fixture.makeVM("live", in: store)
        _ = try await store.finishDeletion(of: old.id, now: start)
        try await store.forgetOldRows(now: start + .seconds(86_400))
        #expect(try await store.vm(old.id) != nil)
        try await store.forgetOldRows(now: start + .seconds(86_401))
        #expect(try await store.vm(old.id) == nil)
        #expect(try await store.vm(live.id) == live)
        #expect(try await store.events(after: nil, limit: 9).records.count == 3)
    }
}

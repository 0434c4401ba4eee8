import Foundation
import Store
import Testing
import WarrenModel

@Suite("Outbox", .timeLimit(.minutes(1))) struct OutboxTests {
    private let fixture: StoreFixture
    private let store: WarrenDatabase
    private var start: Timestamp { fixture.start }

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.open()
    }

    private func attempt(status: Int? = 200, error: String? = nil) -> DeliveryAttempt {
        DeliveryAttempt(startedAt: start, latency: .milliseconds(12), status: status, error: error)
    }

    @Test func `a login URL becomes a delivery in the same transaction`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        #expect(store.outboxLevel == 0)
        _ = try await fixture.askForLogin("https://c.example/l/1", vm: vm.id, in: store, at: start)
        #expect(store.outboxLevel == 1)
        let record = try #require(try await store.dueDeliveries(now: start, limit: 9).first)
        #expect(record.queue == DeliveryQueue(vmID: vm.id, endpoint: .callback(.loginURL)))
        #expect(
            record.url.text == StoreFixture.hook && record.attempts == 0 && record.eventType == .networkLoginRequired
        )
        #expect(record.secrets.headers["X-Key"]?.reveal() == "HEADERSECRET")
        let body = try JSONTree(parsing: record.body)
        #expect(body["type"] == "vm.network.login_required" && body["timestamp"] == .string(start.description))
        #expect(body["data"]?["loginUrl"] == "https://c.example/l/1" && body["data"]?["vm"]?["name"] == "web")
        #expect(body["data"]?["supersedes"] == .null && body["data"]?["expiresAt"] == .null)
        let report = try #require(try await store.deliveries(vm: vm.id, limit: 9).first)
        #expect(report.status == .pending && report.eventID == record.eventID)
    }

    @Test func `success ends it and wipes the URL`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        _ = try await fixture.askForLogin("https://c.example/l/1", vm: vm.id, in: store, at: start)
        let record = try #require(try await store.dueDeliveries(now: start, limit: 9).first)
        try await store.finishAttempt(of: record.id, attempt(), outcome: .delivered, now: start)
        #expect(try await store.dueDeliveries(now: start, limit: 9).isEmpty)
        #expect(try await store.nextDelivery() == nil)
        let report = try #require(try await store.deliveries(status: .delivered, limit: 9).first)
        #expect(report.attempts == [attempt()] && report.finishedAt == start)
    }

    @Test func `a retry waits, and nothing of the queue overtakes it`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        _ = try await fixture.askForLogin("https://c.example/l/1", vm: vm.id, in: store, at: start)
        let record = try #require(try await store.dueDeliveries(now: start, limit: 9).first)
        let later = start + .seconds(5)
        try await store.finishAttempt(
            of: record.id,
            attempt(status: 500, error: "status 500"),
            outcome: .retry(at: later),
            now: start
        )
        #expect(try await store.dueDeliveries(now: start, limit: 9).isEmpty)
        #expect(try await store.nextDelivery() == later)
        #expect(try await store.nextDelivery(busy: [record.queue]) == nil)
        let again = try #require(try await store.dueDeliveries(now: later, limit: 9).first)
        #expect(
            again.id == record.id && again.attempts == 1 && again.eventID == record.eventID && again.body == record.body
        )
        #expect(try await store.dueDeliveries(now: later, limit: 9, busy: [record.queue]).isEmpty)
    }

    @Test func `a newer URL supersedes an undelivered older one of the same VM alone`() async throws {
        let web = try await fixture.makeVM("web", in: store)
        let db = try await fixture.makeVM("db", in: store)
        _ = try await fixture.askForLogin("https://c.example/l/1", vm: web.id, in: store, at: start)
        _ = try await fixture.askForLogin("https://c.example/l/2", vm: db.id, in: store, at: start)
        let inFlight = try #require(try await store.dueDeliveries(now: start, limit: 1).first)
        _ = try await fixture.askForLogin("https://c.example/l/3", vm: web.id, in: store, at: start)
        let due = try await store.dueDeliveries(now: start, limit: 9)
        #expect(
            try due.map { try JSONTree(parsing: $0.body)["data"]?["loginUrl"] } == [
                "https://c.example/l/2", "https://c.example/l/3",
            ]
        )
        #expect(try await store.deliveries(status: .superseded, limit: 9).map(\.id) == [inFlight.id])
        // The attempt that was under way failed: the delivery stays superseded.
        try await store.finishAttempt(of: inFlight.id, attempt(status: 503), outcome: .retry(at: start), now: start)
        #expect(try await store.deliveries(status: .superseded, limit: 9).first?.attempts.count == 1)
        // Had it got through, it would count as delivered.
        try await store.finishAttempt(of: inFlight.id, attempt(), outcome: .delivered, now: start)
        #expect(try await store.deliveries(status: .delivered, limit: 9).map(\.id) == [inFlight.id])
    }

    @Test func `the end of a login supersedes its deliveries`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        _ = try await fixture.askForLogin("https://c.example/l/1", vm: vm.id, in: store, at: start)
        _ = try await store.updateVM(vm.id, now: start) { record in
            record.status.network?.loginUrl = nil
            return [.stateChanged(to: .starting, from: .needsLogin)]
        }
        let due = try await store.dueDeliveries(now: start, limit: 9)
        #expect(due.map(\.eventType) == [.networkStateChanged])
        #expect(try await store.deliveries(status: .superseded, limit: 9).map(\.eventType) == [.networkLoginRequired])
    }

    @Test func `an endpoint that is gone is not called again`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        _ = try await fixture.askForLogin("https://c.example/l/1", vm: vm.id, in: store, at: start)
        let record = try #require(try await store.dueDeliveries(now: start, limit: 9).first)
        try await store.finishAttempt(of: record.id, attempt(status: 410), outcome: .disabled, now: start)
        _ = try await fixture.askForLogin("https://c.example/l/2", vm: vm.id, in: store, at: start)
        #expect(try await store.dueDeliveries(now: start, limit: 9).isEmpty)
        #expect(
            try await store.deliveries(endpoint: .callback(.loginURL), limit: 9).map(\.status) == [
                .disabled, .disabled,
            ]
        )
    }

    @Test func `netmap changes go out once a second`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        let draft = EventDraft.netmapChanged(addresses: ["100.64.0.1"], peers: [])
        try await store.append(draft, about: vm.id, now: start)
        let first = try #require(try await store.dueDeliveries(now: start, limit: 9).first)
        try await store.finishAttempt(of: first.id, attempt(), outcome: .delivered, now: start)
        for tenth in 1...9 { try await store.append(draft, about: vm.id, now: start + .milliseconds(tenth * 100)) }
        #expect(try await store.dueDeliveries(now: start + .milliseconds(999), limit: 9).isEmpty)
        #expect(try await store.dueDeliveries(now: start + .seconds(1), limit: 9).count == 1)
        #expect(try await store.deliveries(status: .superseded, limit: 20).count == 8)
    }

    @Test func `what is over is forgotten after a while`() async throws {
        let vm = try await fixture.makeVM("web", in: store)
        _ = try await fixture.askForLogin("https://c.example/l/1", vm: vm.id, in: store, at: start)
        try await store.trimDeliveries(finishedBefore: start + .seconds(9))
        #expect(try await store.deliveries(limit: 9).count == 1)
        let record = try #require(try await store.dueDeliveries(now: start, limit: 9).first)
        try await store.finishAttempt(
            of: record.id,
            attempt(status: nil, error: "refused"),
            outcome: .failed,
            now: start
        )
        #expect(try await store.deliveries(limit: 9).map(\.status) == [.failed])
        try await store.trimDeliveries(finishedBefore: start + .seconds(9))
        #expect(try await store.deliveries(limit: 9).isEmpty)
    }
}

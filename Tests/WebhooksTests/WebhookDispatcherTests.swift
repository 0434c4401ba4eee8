import Logging
import NIOHTTP1
import NIOPosix
import NetTypes
import ServiceLifecycle
import Store
import Testing
import WarrenModel
import Webhooks

@Suite("WebhookDispatcher", .timeLimit(.minutes(1))) struct WebhookDispatcherTests {
    @Test func `delivers a login URL, signed, at once`() async throws {
        let receiver = try await Receiver()
        let fixture = try await DispatchFixture(url: receiver.url())
        let reports = try await fixture.dispatching {
            try await fixture.askForLogin(1)
            return try await fixture.waitForDelivery(.delivered)
        }
        let request = try #require(receiver.requests.first)
        #expect(request.head.method == .POST && request.head.uri == "/hook?x=1")
        #expect(
            request.field("host") == "127.0.0.1:\(receiver.port)" && request.field("content-type") == "application/json"
        )
        #expect(request.field("x-tenant") == "blue" && request.field("user-agent") == "warren")
        let id = try #require(request.field("webhook-id"))
        let seconds = try #require(request.field("webhook-timestamp").flatMap(Int64.init))
        #expect(EventID(id) == reports[0].eventID && seconds == fixture.start.millisecondsSinceEpoch / 1000)
        let signature = WebhookSigner(secrets: [fixture.secret]).signature(id: id, seconds: seconds, body: request.body)
        #expect(request.field("webhook-signature") == signature)
        let body = try JSONTree(parsing: request.body)
        #expect(body["type"] == "vm.network.login_required" && body["data"]?["loginUrl"] == "https://c.example/l/1")
        #expect(reports[0].attempts.map(\.status) == [204])
        try await receiver.close()
    }

    @Test func `retries with the same id until it is accepted`() async throws {
        let receiver = try await Receiver(replies: [.status(500), .status(404, body: "gone?"), .status(202)])
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        let reports = try await fixture.dispatching { try await fixture.waitForDelivery(.delivered) }
        #expect(reports[0].attempts.map(\.status) == [500, 404, 202])
        #expect(reports[0].attempts.map(\.error) == ["status 500", "status 404", nil])
        #expect(Set(receiver.requests.compactMap { $0.field("webhook-id") }).count == 1)
        #expect(Set(receiver.requests.map(\.body)).count == 1)
        let waits = zip(reports[0].attempts, reports[0].attempts.dropFirst()).map { $1.startedAt - $0.startedAt }
        #expect(waits.count == 2 && waits[0] >= .milliseconds(4500) && waits[1] >= .seconds(27))
        try await receiver.close()
    }

    @Test func `gives up after the last attempt of the schedule`() async throws {
        let receiver = try await Receiver(replies: (0..<20).map { _ in .status(503) })
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        let reports = try await fixture.dispatching { try await fixture.waitForDelivery(.failed) }
        #expect(reports[0].attempts.count == 11 && receiver.requests.count == 11)
        try await receiver.close()
    }

    @Test func `does not follow redirects`() async throws {
        let other = try await Receiver()
        let receiver = try await Receiver(replies: [
            .status(302, headers: [("location", "http://127.0.0.1:\(other.port)/")])
        ])
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        let reports = try await fixture.dispatching { try await fixture.waitForDelivery(.delivered) }
        #expect(reports[0].attempts.map(\.status) == [302, 204] && other.requests.isEmpty)
        try await receiver.close()
        try await other.close()
    }

    @Test func `obeys Retry-After`() async throws {
        let receiver = try await Receiver(replies: [.status(429, headers: [("retry-after", "3600")])])
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        let reports = try await fixture.dispatching { try await fixture.waitForDelivery(.delivered) }
        #expect(reports[0].attempts[1].startedAt - reports[0].attempts[0].startedAt >= .seconds(3600))
        try await receiver.close()
    }

    @Test func `410 ends all deliveries to the endpoint`() async throws {
        let receiver = try await Receiver(replies: [.status(410)])
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        try await fixture.dispatching {
            _ = try await fixture.waitForDelivery(.disabled)
            try await fixture.askForLogin(2)
            _ = try await fixture.waitForDelivery(.disabled, count: 2)
        }
        #expect(receiver.requests.count == 1)
        try await receiver.close()
    }

    @Test func `a forbidden target is never connected to`() async throws {
        let receiver = try await Receiver()
        for policy in [
            TargetPolicy(allowsHTTP: true), TargetPolicy(allowedNetworks: ["127.0.0.0/8"].compactMap { IPPrefix($0) }),
        ] {
            let fixture = try await DispatchFixture(url: receiver.url())
            try await fixture.askForLogin(1)
            let reports = try await fixture.dispatching(policy: policy) { try await fixture.waitForDelivery(.failed) }
            #expect(
                reports[0].attempts.count == 11
                    && reports[0].attempts.allSatisfy { $0.status == nil && $0.error != nil }
            )
        }
        let fixture = try await DispatchFixture(url: receiver.url("rebind.example"))
        try await fixture.askForLogin(1)
        let names = ["rebind.example": ["127.0.0.1", "169.254.169.254", "10.0.0.1"]]
        let reports = try await fixture.dispatching(policy: TargetPolicy(allowsHTTP: true), names: names) {
            try await fixture.waitForDelivery(.failed)
        }
        #expect(reports[0].attempts[0].error?.contains("127.0.0.1") == true)
        #expect(receiver.requests.isEmpty)
        try await receiver.close()
    }

    @Test func `a name is connected to at the address that was judged`() async throws {
        let receiver = try await Receiver()
        let fixture = try await DispatchFixture(url: receiver.url("hooks.example"))
        try await fixture.askForLogin(1)
        let names = ["hooks.example": ["10.0.0.1", "127.0.0.1"]]
        let reports = try await fixture.dispatching(names: names) { try await fixture.waitForDelivery(.delivered) }
        #expect(reports[0].attempts.count == 1)
        #expect(receiver.requests[0].field("host") == "hooks.example:\(receiver.port)")
        try await receiver.close()
    }

    @Test func `an unknown name and a closed port are failures like others`() async throws {
        let receiver = try await Receiver()
        let url = try receiver.url()
        try await receiver.close()
        for (url, text) in [(url, "connection"), (try #require(WebURL("http://nobody.example/")), "resolve")] {
            let fixture = try await DispatchFixture(url: url)
            try await fixture.askForLogin(1)
            let reports = try await fixture.dispatching { try await fixture.waitForDelivery(.failed) }
            #expect(reports[0].attempts[0].error?.contains(text) == true, "\(reports[0].attempts[0].error ?? "")")
        }
    }

    @Test func `a receiver that hangs is given up on in time`() async throws {
        let receiver = try await Receiver(replies: [.silence])
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        let reports = try await fixture.dispatching(timeout: .milliseconds(150)) {
            try await fixture.waitForDelivery(.delivered)
        }
        #expect(reports[0].attempts.map(\.status) == [nil, 204])
        try await receiver.close()
    }

    @Test func `a receiver that never ends its answer has answered all the same`() async throws {
        let receiver = try await Receiver(replies: [.endlessBody(200)])
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        let reports = try await fixture.dispatching(timeout: .milliseconds(150)) {
            try await fixture.waitForDelivery(.delivered)
        }
        #expect(reports[0].attempts.map(\.status) == [200])
        try await receiver.close()
    }

    @Test func `a newer URL replaces one that waits, and another endpoint is not held up`() async throws {
        let receiver = try await Receiver(replies: [.status(500)])
        let fixture = try await DispatchFixture(url: receiver.url())
        let clock = ManualClock(fixture.start, isJumping: false)
        try await fixture.askForLogin(1)
        try await fixture.dispatching(clock: clock) {
            await receiver.waitForRequests(1)
            try await fixture.changeState()
            _ = try await fixture.waitForDelivery(.delivered)
            try await fixture.askForLogin(2)
            _ = try await fixture.waitForDelivery(.delivered, count: 2)
        }
        let bodies = try receiver.requests.map { try JSONTree(parsing: $0.body) }
        #expect(
            bodies.map { $0["type"] } == [
                "vm.network.login_required", "vm.network.state_changed", "vm.network.login_required",
            ]
        )
        #expect(bodies[2]["data"]?["loginUrl"] == "https://c.example/l/2")
        let superseded = try await fixture.store.deliveries(status: .superseded, limit: 9)
        #expect(superseded.count == 1 && superseded[0].attempts.map(\.status) == [500])
        try await receiver.close()
    }

    @Test func `a delivery that was not recorded is repeated with the same id`() async throws {
        let receiver = try await Receiver(replies: [.silence])
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        // Stopped after the request was sent and before its answer: as far as the store knows, nothing happened.
        try await fixture.dispatching { await receiver.waitForRequests(1) }
        #expect(try await fixture.store.deliveries(limit: 9).map(\.status) == [.pending])
        let reports = try await fixture.dispatching { try await fixture.waitForDelivery(.delivered) }
        #expect(reports[0].attempts.map(\.status) == [204] && receiver.requests.count == 2)
        #expect(receiver.requests[0].field("webhook-id") == receiver.requests[1].field("webhook-id"))
        try await receiver.close()
    }

    @Test func `many endpoints are served side by side`() async throws {
        let receiver = try await Receiver(replies: [.silence])
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        try await fixture.dispatching {
            await receiver.waitForRequests(1)
            try await fixture.changeState()
            _ = try await fixture.waitForDelivery(.delivered)
        }
        #expect(receiver.requests.count == 2)
        try await receiver.close()
    }

    @Test func `a graceful shutdown ends it, also with a delivery under way`() async throws {
        let receiver = try await Receiver(replies: [.silence])
        let fixture = try await DispatchFixture(url: receiver.url())
        try await fixture.askForLogin(1)
        let logger = Logger(label: "warren.webhooks.tests") { _ in SwiftLogNoOpLogHandler() }
        let dispatcher = WebhookDispatcher(
            store: fixture.store,
            policy: DispatchFixture.open,
            clock: ManualClock(fixture.start, isJumping: false),
            group: MultiThreadedEventLoopGroup.singleton,
            logger: logger
        )
        let services = ServiceGroup(services: [dispatcher], logger: logger)
        async let ended: Void = services.run()
        await receiver.waitForRequests(1)
        await services.triggerGracefulShutdown()
        try await ended
        #expect(try await fixture.store.deliveries(limit: 9).map(\.status) == [.pending])
        try await receiver.close()
    }
}

import Testing
import WarrenModel

@testable import Webhooks

@Suite("WebhookSigner (Standard Webhooks 1.0.0)") struct WebhookSignerTests {
    // The example of the reference libraries (github.com/standard-webhooks).
    @Test func `signs as the reference does`() throws {
        let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let body = Array(#"{"test": 2432232314}"#.utf8)
        let signature = WebhookSigner(secrets: [secret])
            .signature(id: "msg_p5jXN8AQM9LWM0D4loKWxJek", seconds: 1_614_265_330, body: body)
        #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test func `signs with every secret, the time in seconds`() throws {
        let first = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let second = try #require(WebhookSecret(keyBytes: [UInt8](repeating: 7, count: 32)))
        let fields = WebhookSigner(secrets: [first, second]).fields(
            id: EventID(ULID(high: 0, low: 0)),
            timestamp: Timestamp(millisecondsSinceEpoch: 1_614_265_330_999),
            body: []
        )
        #expect(fields.map(\.name) == ["webhook-id", "webhook-timestamp", "webhook-signature"])
        #expect(fields[0].value == "evt_00000000000000000000000000" && fields[1].value == "1614265330")
        let signatures = fields[2].value.split(separator: " ")
        #expect(
            signatures.count == 2 && signatures.allSatisfy { $0.hasPrefix("v1,") } && signatures[0] != signatures[1]
        )
    }
}

@Suite("RetrySchedule") struct RetryScheduleTests {
    @Test func `waits longer and longer, then gives up`() {
        let seconds = [5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
        for (index, wait) in seconds.enumerated() {
            #expect(RetrySchedule.delay(afterAttempts: index + 1, retryAfter: nil, random: 0.5) == .seconds(wait))
        }
        #expect(RetrySchedule.delay(afterAttempts: 11, retryAfter: nil, random: 0.5) == nil)
        #expect(RetrySchedule.delay(afterAttempts: 11, retryAfter: .seconds(9), random: 0.5) == nil)
        #expect(RetrySchedule.delay(afterAttempts: 0, retryAfter: nil, random: 0.5) == nil)
    }

    @Test func `spreads by a tenth`() throws {
        let low = try #require(RetrySchedule.delay(afterAttempts: 1, retryAfter: nil, random: 0))
        let high = try #require(RetrySchedule.delay(afterAttempts: 1, retryAfter: nil, random: 1))
        #expect(
            abs((low - .milliseconds(4500)).wholeMilliseconds) <= 1
                && abs((high - .milliseconds(5500)).wholeMilliseconds) <= 1
        )
    }

    @Test func `a receiver may ask for more, within a day, but not for less`() {
        #expect(RetrySchedule.delay(afterAttempts: 1, retryAfter: .seconds(60), random: 0.5) == .seconds(60))
        #expect(RetrySchedule.delay(afterAttempts: 2, retryAfter: .seconds(1), random: 0.5) == .seconds(30))
        #expect(RetrySchedule.delay(afterAttempts: 1, retryAfter: .seconds(9_000_000), random: 0.5) == .seconds(86_400))
    }

    @Test func `reads both forms of Retry-After`() throws {
        let now = try #require(Timestamp("1994-11-06T08:49:00Z"))
        #expect(RetryAfter.parse("120", now: now) == .seconds(120))
        #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:49:37 GMT", now: now) == .seconds(37))
        #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:00:00 GMT", now: now) == .zero)
        for bad in [
            "-1", "soon", "1.5", "Sun, 06 Nov 1994 08:49:37", "06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Abc 1994 08:49:37 GMT",
        ] {
            #expect(RetryAfter.parse(bad, now: now) == nil, "\(bad)")
        }
        #expect(RetryAfter.parse("99999999999999999999", now: now) == nil)
    }
}

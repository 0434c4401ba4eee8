import ControlPlane
import Foundation
import Tailcfg
import TestSupport
import Testing
import WarrenCrypto

@Suite("Registration vectors") struct RegistrationVectorTests {
    @Test(arguments: try VectorFile("register_responses", in: Bundle.module).cases)
    func `asks and concludes as the reference does`(vector: VectorCase) throws {
        let requests = try #require(vector.value.requests?.array).compactMap { $0.body }
        let replies = try #require(vector.value.replies?.array)
        let result = try #require(vector.value.result)
        let first = try #require(requests.first)
        let sent = try requests.map { try JSONDecoder().decode(RegisterRequest.self, from: $0.data) }
        // A request with an expiry (logout, shortening it) is one question, not a login.
        guard first.Expiry?.string == "0001-01-01T00:00:00Z" else {
            #expect(sent.count == 1)
            return
        }

        var registration = Registration()
        var generator = SystemRandomNumberGenerator()
        var keys = sent.dropFirst().map(\.nodeKey).filter { $0 != sent[0].nodeKey }[...]
        let isFresh = replies.count == 1 && replies[0].body?.NodeKeyExpired?.bool == true
        var actions: [Registration.Action]
        if isFresh {
            _ = registration.handle(.startWithNewKey(replacing: sent[0].oldNodeKey), using: &generator)
            actions = registration.handle(.keyMade(sent[0].nodeKey), using: &generator)
        } else {
            actions = registration.handle(
                .start(storedKey: sent[0].nodeKey, oldKey: sent[0].oldNodeKey),
                using: &generator
            )
        }
        var outcome = "none"
        var shown = ""
        for (request, reply) in zip(sent, replies) {
            let attempt = Registration.Attempt(
                nodeKey: request.nodeKey,
                oldNodeKey: request.oldNodeKey,
                followup: request.followup
            )
            #expect(actions.contains(.send(attempt)))
            let status = try #require(reply.status?.int)
            if status == 200 {
                let body = try JSONDecoder().decode(RegisterResponse.self, from: try #require(reply.body).data)
                actions = registration.handle(.answered(body), using: &generator)
            } else if status == 429 {
                let seconds = reply.headers?["Retry-After"]?.string.flatMap { Int($0) } ?? 0
                let delay: Duration? = (1...3600).contains(seconds) ? .seconds(seconds) : nil
                actions = registration.handle(.failed(.rateLimited(retryAfter: delay)), using: &generator)
                guard case .wait(let wait)? = actions.first else {
                    Issue.record("no wait: \(actions)")
                    return
                }
                #expect(delay.map { $0 == wait } ?? (Duration.seconds(5)...Duration.seconds(10)).contains(wait))
                outcome = "error"
            } else {
                actions = registration.handle(.failed(.httpStatus(code: status, detail: "")), using: &generator)
                #expect(actions.count == 1)
                outcome = "error"
            }
            if actions.contains(.makeKey) {
                guard let key = keys.popFirst() else {
                    Issue.record("wanted a key that the reference did not make")
                    return
                }
                actions = registration.handle(.keyMade(key), using: &generator)
            }
            for action in actions {
                switch action {
                case .showAuthURL(let url):
                    outcome = "auth_url"
                    shown = url
                case .refused(let text):
                    outcome = "error"
                    #expect(text == result.error?.string)
                case .keyUnacceptable: outcome = "error"
                case .loggedIn(let attempt, _):
                    outcome = "logged_in"
                    #expect(attempt.nodeKey.text == result.persisted_node_key?.string)
                    if let old = result.persisted_old_node_key?.string { #expect(attempt.oldNodeKey.text == old) }
                case .send, .wait, .makeKey: break
                }
            }
        }
        #expect(outcome == result.outcome?.string)
        if outcome == "auth_url" { #expect(shown == result.url?.string) }
    }
}

@Suite("Registration") struct RegistrationTests {
    private var key: NodePublicKey { NodePrivateKey().publicKey }

    @Test func `sends the same follow-up again after a failure and after the same URL`() {
        var generator = SystemRandomNumberGenerator()
        var registration = Registration()
        let stored = key
        _ = registration.handle(.start(storedKey: stored), using: &generator)
        var response = RegisterResponse()
        response.authURL = "https://login.example/a"
        let actions = registration.handle(.answered(response), using: &generator)
        let followup = Registration.Attempt(nodeKey: stored, oldNodeKey: .zero, followup: response.authURL)
        #expect(actions == [.showAuthURL(response.authURL), .send(followup)])
        #expect(registration.pendingAuthURL == response.authURL)
        for event in [Registration.Event.failed(.connectionClosed), .answered(response)] {
            let waiting = registration.handle(event, using: &generator)
            guard case .wait? = waiting.first, waiting.count == 1 else {
                Issue.record("no wait: \(waiting)")
                return
            }
            #expect(registration.handle(.waited, using: &generator) == [.send(followup)])
        }
    }

    @Test func `ignores what does not belong to its phase`() {
        var generator = SystemRandomNumberGenerator()
        var registration = Registration()
        #expect(registration.handle(.waited, using: &generator).isEmpty)
        #expect(registration.handle(.answered(RegisterResponse()), using: &generator).isEmpty)
        #expect(registration.handle(.keyMade(key), using: &generator).isEmpty)
        #expect(registration.handle(.startWithNewKey(), using: &generator) == [.makeKey])
        #expect(registration.handle(.failed(.timedOut), using: &generator).isEmpty)
    }

    @Test func `waits longer after every failure, within the bounds`() {
        var generator = SystemRandomNumberGenerator()
        var backoff = Backoff()
        for count in 1...100 {
            let base = min(Duration.milliseconds(10 * count * count), .seconds(30))
            let wait = backoff.next(using: &generator)
            #expect(wait >= base * 0.5 && wait < base * 1.5)
        }
        backoff.reset()
        #expect(backoff.next(using: &generator) < .milliseconds(15))
    }
}

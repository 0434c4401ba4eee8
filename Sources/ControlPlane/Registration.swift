package import Tailcfg
package import WarrenCrypto

/// The login of a node as a pure state machine: events in, actions out; time and keys are the caller's.
///
/// The caller performs the actions in their order and reports back: a key that was made, a reply, a failure, a wait that is over.
/// A key is final only with `.loggedIn`; until then the old one stays stored.
package struct Registration: Sendable {
    /// What of a register request this machine decides; the rest of the body is the same every time.
    package struct Attempt: Hashable, Sendable {
        /// The key to register.
        package let nodeKey: NodePublicKey
        /// The key that it replaces, or zero.
        package let oldNodeKey: NodePublicKey
        /// The auth URL whose completion is awaited, or empty.
        package let followup: String

        /// Puts the members together.
        package init(nodeKey: NodePublicKey, oldNodeKey: NodePublicKey, followup: String) {
            self.nodeKey = nodeKey
            self.oldNodeKey = oldNodeKey
            self.followup = followup
        }
    }

    /// Something that happened.
    package enum Event: Sendable {
        /// Begin with a stored key that is believed valid, and the key that it once replaced.
        case start(storedKey: NodePublicKey, oldKey: NodePublicKey = .zero)
        /// Begin with a new key, in place of a stored one that has expired or shall be rotated, or of none.
        case startWithNewKey(replacing: NodePublicKey = .zero)
        /// The key that `.makeKey` asked for.
        case keyMade(NodePublicKey)
        /// The server answered.
        case answered(RegisterResponse)
        /// The request failed.
        case failed(ControlError)
        /// The time of `.wait` is over.
        case waited
    }

    /// Something to do.
    package enum Action: Hashable, Sendable {
        /// Make a node key and report it.
        case makeKey
        /// Send a register request; without a time-out when it is a follow-up.
        case send(Attempt)
        /// Show this URL to the user; it replaces any shown before.
        case showAuthURL(String)
        /// The server refuses; the text is for the user, at most 200 octets.
        case refused(String)
        /// Neither this nor a fresh key is accepted: the server calls it expired, or wants a tailnet-lock signature.
        case keyUnacceptable
        /// Do nothing for this long.
        case wait(Duration)
        /// Commit the key to the store, then start the map poll.
        case loggedIn(Attempt, machineAuthorized: Bool)
    }

    private enum Phase: Sendable { case idle, makingKey, sending, waiting, done }

    private var phase = Phase.idle
    private var attempt = Attempt(nodeKey: .zero, oldNodeKey: .zero, followup: "")
    private var isKeyFresh = false
    private var backoff = Backoff()
    /// How often in a row the auth URL moved while it was waited for.
    private var moves = 0
    /// A server whose logins run out moves the URL now and then; one that never stops must not keep us, the store and webhooks busy.
    private static let quickMoves = 3

    /// A machine at rest.
    package init() {}

    /// The auth URL that a user has to visit, while one is pending.
    package var pendingAuthURL: String? { phase == .done || attempt.followup.isEmpty ? nil : attempt.followup }

    /// Takes an event; one that does not belong to the phase changes nothing.
    package mutating func handle(_ event: Event, using generator: inout some RandomNumberGenerator) -> [Action] {
        switch event {
        case .start(let storedKey, let oldKey):
            isKeyFresh = false
            moves = 0
            backoff.reset()
            return send(Attempt(nodeKey: storedKey, oldNodeKey: oldKey, followup: ""))
        case .startWithNewKey(let replaced):
            moves = 0
            backoff.reset()
            return makeKey(replacing: replaced)
        case .keyMade(let key):
            guard phase == .makingKey else { return [] }
            isKeyFresh = true
            return send(Attempt(nodeKey: key, oldNodeKey: attempt.oldNodeKey, followup: ""))
        case .answered(let response):
            guard phase == .sending else { return [] }
            return answer(response, using: &generator)
        case .failed(.rateLimited(let delay)):
            guard phase == .sending else { return [] }
            phase = .waiting
            return [.wait(delay ?? .milliseconds(Int64.random(in: 5000...10_000, using: &generator)))]
        case .failed:
            guard phase == .sending else { return [] }
            phase = .waiting
            return [.wait(backoff.next(using: &generator))]
        case .waited:
            guard phase == .waiting else { return [] }
            return send(attempt)
        }
    }

    private mutating func send(_ attempt: Attempt) -> [Action] {
        self.attempt = attempt
        phase = .sending
        return [.send(attempt)]
    }

    private mutating func makeKey(replacing key: NodePublicKey) -> [Action] {
        attempt = Attempt(nodeKey: .zero, oldNodeKey: key, followup: "")
        phase = .makingKey
        return [.makeKey]
    }

    private mutating func answer(
        _ response: RegisterResponse,
        using generator: inout some RandomNumberGenerator
    ) -> [Action] {
        if !response.error.isEmpty {
            return refuse(.refused(ControlError.printable(response.error)), using: &generator)
        }
        let wantsSignature = response.nodeKeySignature?.isEmpty == false
        if response.nodeKeyExpired || wantsSignature {
            // One new key, once: a server that refuses that too would have us make keys for ever.
            guard !isKeyFresh else { return refuse(.keyUnacceptable, using: &generator) }
            return makeKey(replacing: attempt.nodeKey)
        }
        if !response.authURL.isEmpty {
            guard Self.isShowable(response.authURL) else {
                return refuse(.refused("the server's login URL is not one to open"), using: &generator)
            }
            if response.authURL == attempt.followup {
                phase = .waiting
                return [.wait(backoff.next(using: &generator))]
            }
            let hasMoved = !attempt.followup.isEmpty
            let next = Attempt(
                nodeKey: attempt.nodeKey,
                oldNodeKey: attempt.oldNodeKey,
                followup: response.authURL
            )
            if hasMoved { moves += 1 }
            guard moves <= Self.quickMoves else {
                attempt = next
                phase = .waiting
                return [.showAuthURL(response.authURL), .wait(backoff.next(using: &generator))]
            }
            backoff.reset()
            return [.showAuthURL(response.authURL)] + send(next)
        }
        phase = .done
        backoff.reset()
        return [.loggedIn(attempt, machineAuthorized: response.machineAuthorized)]
    }

    /// What is refused once is usually refused for good; asking again every half minute notices when it is not.
    private mutating func refuse(_ action: Action, using generator: inout some RandomNumberGenerator) -> [Action] {
        phase = .waiting
        return [action, .wait(.seconds(30) * Double.random(in: 0.5..<1.5, using: &generator))]
    }

    /// A URL that a person may be asked to open: http(s), printable, of bounded length, and nobody's name in front of the host.
    private static func isShowable(_ url: String) -> Bool {
        guard url.utf8.count <= 2048, !url.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F || $0 == 0x5C }),
            let scheme = url.firstRange(of: "://"),
            ["http", "https"].contains(url[..<scheme.lowerBound].lowercased())
        else { return false }
        let authority = url[scheme.upperBound...].prefix { !"/?#".contains($0) }
        return !authority.isEmpty && !authority.contains("@")
    }
}

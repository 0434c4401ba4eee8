import NetTypes

/// The deadlines of one peer's sessions (WireGuard paper §6, wireguard-go `timers.go`).
struct PeerTimers {
    /// What a deadline asks for.
    enum Action: Equatable {
        /// Nothing came back: begin a handshake again.
        case retransmitInitiation
        /// 90 seconds without a response: give up what was queued.
        case giveUp
        /// Something came in and nothing went out: send an empty message, and one more if more came in since.
        case sendKeepalive(another: Bool)
        /// Something went out and nothing came in: begin a handshake.
        case beginHandshake
        /// The last session is long over: forget the keys.
        case forgetKeys
    }

    private var retransmitAt = MonotonicTime.distantFuture
    private var keepaliveAt = MonotonicTime.distantFuture
    private var beginHandshakeAt = MonotonicTime.distantFuture
    private var forgetKeysAt = MonotonicTime.distantFuture
    private var needsAnotherKeepalive = false
    private var attempts = 0
    /// Whether the handshake that renews an old session upon reception was begun.
    var sentLastMinuteHandshake = false

    /// The earliest deadline.
    var earliest: MonotonicTime {
        min(min(retransmitAt, keepaliveAt), min(beginHandshakeAt, forgetKeysAt))
    }

    /// A packet was sent: something should come back.
    mutating func dataSent(at now: MonotonicTime, jitter: @autoclosure () -> Duration) {
        guard beginHandshakeAt == .distantFuture else { return }
        beginHandshakeAt =
            now + WireGuardConstants.keepaliveTimeout + WireGuardConstants.rekeyTimeout + jitter()
    }

    /// A packet was received: something should go back.
    mutating func dataReceived(at now: MonotonicTime) {
        if keepaliveAt == .distantFuture {
            keepaliveAt = now + WireGuardConstants.keepaliveTimeout
        } else {
            needsAnotherKeepalive = true
        }
    }

    /// Any authenticated message was sent.
    mutating func authenticatedSent() {
        keepaliveAt = .distantFuture
        needsAnotherKeepalive = false
    }

    /// Any authenticated message was received.
    mutating func authenticatedReceived() {
        beginHandshakeAt = .distantFuture
    }

    /// An initiation was sent; `isRetry` when a deadline asked for it.
    mutating func handshakeInitiated(at now: MonotonicTime, isRetry: Bool, jitter: Duration) {
        if !isRetry { attempts = 0 }
        retransmitAt = now + WireGuardConstants.rekeyTimeout + jitter
    }

    /// An initiation is wanted but comes too soon after the last handshake message.
    mutating func planInitiation(at time: MonotonicTime) {
        if retransmitAt == .distantFuture { retransmitAt = time }
    }

    /// A session is confirmed.
    mutating func handshakeCompleted() {
        retransmitAt = .distantFuture
        attempts = 0
        sentLastMinuteHandshake = false
    }

    /// The keys of a session were made.
    mutating func sessionDerived(at now: MonotonicTime) {
        forgetKeysAt = now + WireGuardConstants.zeroKeysAfterTime
    }

    /// The next action that is due, its deadline taken away; call until nil.
    mutating func nextDue(at now: MonotonicTime) -> Action? {
        if retransmitAt <= now {
            retransmitAt = .distantFuture
            if attempts >= WireGuardConstants.maximumHandshakeAttempts {
                keepaliveAt = .distantFuture
                if forgetKeysAt == .distantFuture { sessionDerived(at: now) }
                return .giveUp
            }
            attempts += 1
            return .retransmitInitiation
        }
        if keepaliveAt <= now {
            keepaliveAt = .distantFuture
            defer { needsAnotherKeepalive = false }
            return .sendKeepalive(another: needsAnotherKeepalive)
        }
        if beginHandshakeAt <= now {
            beginHandshakeAt = .distantFuture
            return .beginHandshake
        }
        if forgetKeysAt <= now {
            forgetKeysAt = .distantFuture
            return .forgetKeys
        }
        return nil
    }

    /// Plans another keep-alive.
    mutating func planKeepalive(at now: MonotonicTime) {
        keepaliveAt = now + WireGuardConstants.keepaliveTimeout
    }
}

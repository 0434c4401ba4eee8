package import NetTypes

extension WireGuardDevice {
    /// When `tick` must be called next; nil while nothing is pending.
    package var nextDeadline: MonotonicTime? { deadlines.earliest }

    /// Does what is due: repeats handshakes, sends keep-alives, forgets keys of long idle peers.
    package func tick(now: MonotonicTime) {
        while let slot = deadlines.popDue(at: now) {
            guard let sessions = peers[slot].sessions else { continue }
            while let action = sessions.timers.nextDue(at: now) {
                perform(action, slot, sessions, now: now)
            }
            // The peer may be gone by now.
            if let sessions = peers[slot].sessions { reschedule(slot, sessions) }
        }
    }

    private func perform(_ action: PeerTimers.Action, _ slot: Int, _ sessions: WireGuardPeer, now: MonotonicTime) {
        switch action {
        case .retransmitInitiation:
            initiateHandshake(slot, sessions, isRetry: true, now: now)
        case .giveUp:
            sessions.dropHandshake { indices.remove($0) }
            queuedByteCount -= sessions.queue.byteCount
            for _ in sessions.queue.takeAll() { countDrop(.handshakeTimedOut) }
        case .sendKeepalive(let another):
            sendKeepalive(slot, sessions, now: now)
            if another { sessions.timers.planKeepalive(at: now) }
        case .beginHandshake:
            initiateHandshake(slot, sessions, isRetry: false, now: now)
        case .forgetKeys:
            forgetSessions(of: slot)
        }
    }
}

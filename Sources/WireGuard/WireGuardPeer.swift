package import NetTypes
import WarrenCrypto

/// The sessions of one peer: made when a packet or an initiation asks for them, gone when they are long over.
final class WireGuardPeer {
    /// The shared secret of both static keys.
    let staticSecret: SecretBytes
    /// Adds the codes to our handshake messages.
    var cookies: CookieGenerator
    /// What is due, and when.
    var timers = PeerTimers()
    /// Packets that wait for a session.
    var queue = PacketQueue()
    /// The handshake that we began and whose response is awaited.
    var handshake: InitiatorHandshake?
    /// The session before the current one, which may still receive.
    private(set) var previous: Keypair?
    /// The session that we send with.
    private(set) var current: Keypair?
    /// A session that the peer has not used yet.
    private(set) var next: Keypair?
    /// When the last handshake message was sent.
    var lastHandshakeSentAt: MonotonicTime?
    /// When the last initiation of the peer was accepted.
    var lastInitiationAt: MonotonicTime?
    /// What went to and came from the peer.
    var statistics = PeerStatistics()

    /// An empty set of sessions with the owner of `publicKey`.
    init(publicKey: NodePublicKey, staticSecret: SecretBytes) {
        self.staticSecret = staticSecret
        cookies = CookieGenerator(publicKey: publicKey)
    }

    /// The session with this receiver index.
    func keypair(localIndex: UInt32) -> Keypair? {
        if let current, current.localIndex == localIndex { return current }
        if let next, next.localIndex == localIndex { return next }
        if let previous, previous.localIndex == localIndex { return previous }
        return nil
    }

    /// The session to send with.
    func sendable(at now: MonotonicTime) -> Keypair? {
        guard let current, current.canSend(at: now) else { return nil }
        return current
    }

    /// Takes up a session; what it displaces is told to `dropped`.
    func install(_ keypair: Keypair, dropped: (UInt32) -> Void) {
        if keypair.isInitiator {
            if let next {
                if let current { dropped(current.localIndex) }
                if let previous { dropped(previous.localIndex) }
                previous = next
                self.next = nil
            } else {
                if let previous { dropped(previous.localIndex) }
                previous = current
            }
            current = keypair
        } else {
            // Not sent with before the peer has used it: only then is it known to have the keys.
            if let next { dropped(next.localIndex) }
            if let previous { dropped(previous.localIndex) }
            previous = nil
            next = keypair
        }
    }

    /// The peer used `keypair`; true when that confirms the next session, which becomes the current one.
    func confirm(_ keypair: Keypair, dropped: (UInt32) -> Void) -> Bool {
        guard let next, next === keypair else { return false }
        if let previous { dropped(previous.localIndex) }
        previous = current
        current = next
        self.next = nil
        return true
    }

    /// Drops sessions, handshake and queue; their indices are told to `dropped`.
    func forget(dropped: (UInt32) -> Void) {
        for keypair in [previous, current, next] {
            if let keypair { dropped(keypair.localIndex) }
        }
        (previous, current, next) = (nil, nil, nil)
        dropHandshake(dropped: dropped)
    }

    /// Drops the handshake that we began.
    func dropHandshake(dropped: (UInt32) -> Void) {
        if let index = handshakeIndex { dropped(index) }
        handshake = nil
    }

    /// The index that the response to our initiation must name.
    var handshakeIndex: UInt32? { handshake?.localIndex }
}

/// What went to and came from one peer.
package struct PeerStatistics: Hashable, Sendable {
    /// Octets of all WireGuard messages sent since the sessions were first made.
    package var sentByteCount: UInt64 = 0
    /// Octets of all authentic WireGuard messages received.
    package var receivedByteCount: UInt64 = 0
    /// When the last handshake was completed.
    package var lastHandshakeAt: MonotonicTime?
}

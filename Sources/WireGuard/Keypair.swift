import NetTypes
import WarrenCrypto

/// The keys of one session and what was sent and received under them.
///
/// A transport message:
///
/// | offset | octets | field |
/// | --- | --- | --- |
/// | 0 | 4 | type 4, little-endian |
/// | 4 | 4 | receiver index, little-endian |
/// | 8 | 8 | counter, little-endian |
/// | 16 | n + 16 | sealed packet and tag |
final class Keypair {
    /// The index under which the peer addresses us.
    let localIndex: UInt32
    /// The index under which we address the peer.
    let remoteIndex: UInt32
    /// Whether we began the handshake, and so are the one to renew it.
    let isInitiator: Bool
    /// When the session was made.
    let createdAt: MonotonicTime
    /// The counter of the next message we send.
    var sendCounter: UInt64 = 0
    private let sealer: TransportCipher
    private let opener: TransportCipher
    private var replayFilter = ReplayFilter()

    /// Makes the ciphers of a session.
    init(_ keys: SessionKeys, createdAt: MonotonicTime) {
        localIndex = keys.localIndex
        remoteIndex = keys.remoteIndex
        isInitiator = keys.isInitiator
        self.createdAt = createdAt
        sealer = TransportCipher(key: keys.sending, direction: .sealing)
        opener = TransportCipher(key: keys.receiving, direction: .opening)
    }

    /// Whether the session is too old to be used at all.
    func isExpired(at now: MonotonicTime) -> Bool {
        now - createdAt >= WireGuardConstants.rejectAfterTime
    }

    /// Whether a message may be sent under these keys.
    func canSend(at now: MonotonicTime) -> Bool {
        sendCounter < WireGuardConstants.rejectAfterMessages && !isExpired(at: now)
    }

    /// Writes the header at `offset` and seals the `count` octets behind it where they are.
    func seal(_ buffer: inout MutableRawSpan, at offset: Int, count: Int) {
        buffer.store(littleEndian: MessageType.transport, at: offset)
        buffer.store(littleEndian: remoteIndex, at: offset + 4)
        buffer.store(littleEndian: sendCounter, at: offset + 8)
        sealer.sealInPlace(
            &buffer,
            at: offset + MessageLength.transportHeader,
            count: count,
            counter: sendCounter
        )
        sendCounter += 1
    }

    /// Opens a whole transport message where it is; nil on success, as the packet then lies between header and tag.
    func open(_ message: inout MutableRawSpan, counter: UInt64) -> DropReason? {
        guard counter < WireGuardConstants.rejectAfterMessages else { return .replayed }
        let opened = opener.openInPlace(
            &message,
            at: MessageLength.transportHeader,
            count: message.byteCount - MessageLength.transportHeader,
            counter: counter
        )
        guard opened else { return .badTag }
        // Only an authentic counter may move the window.
        return replayFilter.accept(counter, limit: WireGuardConstants.rejectAfterMessages) ? nil : .replayed
    }
}

/// Why a datagram or packet went no further.
package enum DropReason: Int, CaseIterable, Hashable, Sendable {
    /// Not a WireGuard message, or one of the wrong length.
    case malformed
    /// The first authentication code of a handshake message is wrong.
    case badMAC1
    /// Under load, and the source sends too many handshake messages.
    case rateLimited
    /// Under load, and the message bears no valid cookie; a cookie reply was sent.
    case cookieRequired
    /// A handshake message or cookie does not authenticate.
    case badHandshake
    /// The static key of an initiation belongs to no peer.
    case unknownPeer
    /// The timestamp of an initiation is not newer than the last one.
    case staleTimestamp
    /// The initiation follows the last one too closely.
    case initiationFlood
    /// The receiver index belongs to no session and no handshake.
    case unknownIndex
    /// The session is older than 180 seconds.
    case sessionExpired
    /// A transport message does not authenticate.
    case badTag
    /// The counter was seen before, is behind the window or beyond the limit.
    case replayed
    /// The inner packet is no IP packet of a consistent length.
    case badInnerPacket
    /// The inner source address is not allowed for the peer that sent it.
    case sourceNotAllowed
    /// The queue of packets without a session is full: the oldest went, or the newest when all queues are.
    case queueFull
    /// No session came about in time.
    case handshakeTimedOut
    /// The caller's buffer has no room for header, padding and tag.
    case noRoom
    /// More messages are waiting to be sent than one call can produce.
    case outgoingFull
}

/// How often each `DropReason` was given.
package struct DropCounts: Sendable {
    private var counts = [UInt64](repeating: 0, count: DropReason.allCases.count)

    /// All zero.
    package init() {}

    /// The count of one reason.
    package private(set) subscript(reason: DropReason) -> UInt64 {
        get { counts[reason.rawValue] }
        set { counts[reason.rawValue] = newValue }
    }

    /// Counts one drop.
    mutating func count(_ reason: DropReason) {
        self[reason] &+= 1
    }

    /// The sum over all reasons.
    package var total: UInt64 { counts.reduce(0, &+) }
}

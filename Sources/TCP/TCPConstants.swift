/// Values of the RFCs.
package enum TCPConstants {
    /// The largest payload towards a host that does not say what it takes (RFC 9293 §3.7.1).
    static let defaultMaximumSegment: UInt16 = 536
    /// The time-out before anything was measured (RFC 6298 §2.1).
    static let initialTimeout: Duration = .seconds(1)
    /// The longest time-out (RFC 6298 §2.5).
    static let maximumTimeout: Duration = .seconds(60)
    /// So many acknowledgements of the same octet mean that the next was lost (RFC 5681 §3.2).
    static let duplicateLimit = 3
    /// What may be on its way at the start, in segments (RFC 6928).
    static let initialWindowSegments = 10
}

/// Values that we chose.
package enum TCPDefaults {
    /// The shortest time-out: Linux's, not RFC 6298's second, which would be felt in every name that is looked up.
    static let minimumTimeout: Duration = .milliseconds(200)
    /// How often a SYN is repeated: some 30 s in all, longer than anyone here waits.
    static let synLimit = 4
    /// How often anything else is repeated before the connection counts as dead.
    static let repetitionLimit = 8
    /// How long a finished connection answers a repeated FIN: the way is a cable or a tunnel, where nothing is older.
    static let timeWait: Duration = .seconds(2)
    /// How long the other side may take to finish after us.
    static let finWait: Duration = .seconds(10)
    /// How many segments that came too early are kept.
    static let earlyLimit = 64
    /// The buffer for each direction of a connection: what a window without scaling can tell.
    package static let bufferByteCount = 65_535
}

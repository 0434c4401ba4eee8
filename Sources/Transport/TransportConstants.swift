package import NIOCore

/// Numbers of this module; RFC 8305 and RFC 6455 give none of them.
package enum TransportConstants {
    /// How long a peer that was sent a close frame has to close: a round trip round the world and a little more.
    package static let webSocketLinger = TimeAmount.seconds(1)
    /// The largest header block of a reply; real ones stay below 1 KiB.
    package static let maximumHeaderByteCount = 16 << 10
    /// The most header fields of a reply.
    package static let maximumHeaderCount = 64
}

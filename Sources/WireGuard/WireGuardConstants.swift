import NetTypes

/// Numbers that the WireGuard paper and its Go implementation fix.
enum WireGuardConstants {
    /// WireGuard paper §5.4.1.
    static let protocolName = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
    /// WireGuard paper §5.4.1.
    static let identifier = "WireGuard v1 zx2c4 Jason@zx2c4.com"
    /// WireGuard paper §5.4.4.
    static let mac1Label = "mac1----"
    /// WireGuard paper §5.4.7.
    static let cookieLabel = "cookie--"

    /// An initiator that sends on an older session starts a new handshake (paper §6.1).
    static let rekeyAfterTime: Duration = .seconds(120)
    /// An older session neither sends nor receives (paper §6.1).
    static let rejectAfterTime: Duration = .seconds(180)
    /// The least time between two initiations, and the wait for a response (paper §6.1).
    static let rekeyTimeout: Duration = .seconds(5)
    /// How long an initiation is repeated: 90 s in steps of `rekeyTimeout` (paper §6.1).
    static let maximumHandshakeAttempts = 18
    /// What was received is acknowledged by a keep-alive within this time (paper §6.5).
    static let keepaliveTimeout: Duration = .seconds(10)
    /// A session that sent more messages is replaced (paper §6.1).
    static let rekeyAfterMessages: UInt64 = 1 << 60
    /// No message bears this counter or a higher one (paper §6.1).
    static let rejectAfterMessages: UInt64 = .max - (1 << 13)
    /// How long a cookie and the secret behind it are good for (paper §5.4.7).
    static let cookieLifetime: Duration = .seconds(120)
    /// Idle peers forget their sessions after this time (paper §6.3).
    static let zeroKeysAfterTime: Duration = .seconds(540)
    /// The least time between two accepted initiations of a peer (wireguard-go `HandshakeInitationRate`).
    static let initiationSpacing: Duration = .milliseconds(20)
    /// The most that is added to a repetition at random (wireguard-go `RekeyTimeoutJitterMaxMs`), milliseconds.
    static let jitterMilliseconds: UInt64 = 334
    /// How many packets wait for a session (wireguard-go `QueueStagedSize`).
    static let queuedPacketCount = 128
}

/// Numbers that we chose.
package enum WireGuardDefaults {
    /// The MTU of the tunnel; padding never goes beyond it (tailscale `net/tstun/mtu.go`).
    package static let tunnelMTU = 1280
    /// Octets that all peers' queues hold together: enough for a full queue of 25 peers, and no more for a guest
    /// that sends to every address of a large tailnet.
    package static let queuedByteCount = 4 << 20
    /// Handshake messages a second that are answered without a cookie: each costs up to 0.2 ms, so that a flood may
    /// take a few hundredths of one core and no more.
    package static let handshakesPerSecond = 128
    /// How long after a burst cookies are still asked for (Linux `wg_receive_handshake_packet`).
    static let loadMemory: Duration = .seconds(1)
    /// The time that each handshake message costs its source while cookies are asked for: 20 a second
    /// (wireguard-go `ratelimiter`).
    static let sourceSpacing: Duration = .milliseconds(50)
    /// How many handshake messages a source may send at once while cookies are asked for (wireguard-go).
    static let sourceBurst = 5
    /// Buckets that sources share while cookies are asked for: a fixed 4 KiB, whatever is sent.
    static let sourceBucketCount = 512
    /// Messages that may wait to be taken from the device; one call produces at most a full queue and a few.
    static let outgoingMessageCount = 1024
}

/// The four message types (WireGuard paper §5.4).
enum MessageType {
    /// Begins a handshake.
    static let initiation: UInt32 = 1
    /// Answers an initiation.
    static let response: UInt32 = 2
    /// Asks for a repetition that bears a cookie.
    static let cookieReply: UInt32 = 3
    /// Carries a sealed packet.
    static let transport: UInt32 = 4
}

/// The lengths of the messages, in octets (WireGuard paper §5.4).
package enum MessageLength {
    /// A handshake initiation.
    package static let initiation = 148
    /// A handshake response.
    package static let response = 92
    /// A cookie reply.
    package static let cookieReply = 64
    /// What precedes the sealed packet of a transport message.
    package static let transportHeader = 16
    /// What follows it.
    package static let tag = 16
    /// An empty transport message.
    package static let keepalive = 32
    /// By how much `encapsulate` may lengthen a packet: header, padding and tag.
    package static let transportOverhead = transportHeader + 15 + tag
    /// Both codes at the end of a handshake message.
    static let macs = 32
}

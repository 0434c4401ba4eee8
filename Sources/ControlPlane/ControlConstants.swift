package import NIOCore
package import Transport

/// Numbers of the ts2021 protocol (tailscale `control/controlbase`, `control/controlhttp`).
package enum ControlConstants {
    /// The token of the HTTP upgrade and the WebSocket subprotocol.
    package static let upgradeToken = "tailscale-control-protocol"
    /// The header that carries the initiation in standard base64.
    package static let handshakeHeader = "X-Tailscale-Handshake"
    /// The path of the upgrade.
    package static let upgradePath = "/ts2021"
    /// The upgrade over WebSocket, from the server's view: messages of one frame go out, the reference refuses larger ones than 32 KiB.
    package static let webSocketRoute = WebSocketRoute(
        path: upgradePath,
        subprotocol: upgradeToken,
        limits: WebSocketLimits(outgoingByteCount: maximumFrameByteCount, incomingByteCount: 32 << 10)
    )
    /// Octets of the initiation, its five-octet header included.
    package static let initiationByteCount = 101
    /// Octets of the response, its three-octet header included.
    package static let responseByteCount = 51
    /// Octets of the header of every frame but the initiation.
    package static let frameHeaderByteCount = 3
    /// The largest frame, header included.
    package static let maximumFrameByteCount = 4096
    /// The largest ciphertext of a record.
    package static let maximumCiphertextByteCount = maximumFrameByteCount - frameHeaderByteCount
    /// The largest plaintext of a record.
    package static let maximumPlaintextByteCount = maximumCiphertextByteCount - tagByteCount
    /// Octets of the Poly1305 tag.
    package static let tagByteCount = 16
    /// The first octets of an early payload: `FF FF FF "TS"`.
    package static let earlyPayloadMagic: [UInt8] = [0xFF, 0xFF, 0xFF, 0x54, 0x53]
    /// The largest early payload.
    package static let maximumEarlyPayloadByteCount = 10 << 20
    /// The first capability version that understands an early payload.
    package static let earlyPayloadVersion: UInt16 = 49
    /// The largest body of `GET /key`.
    package static let maximumKeyByteCount = 64 << 10
    /// The largest body of a request and of the reply to register.
    package static let maximumBodyByteCount = 1 << 20
    /// How long a map poll may stay without a complete message.
    package static let mapWatchdog: Duration = .seconds(120)
    /// How long a HEAD ping may take.
    package static let pingDeadline: Duration = .seconds(15)
    /// How long dial, upgrade and handshake may take together.
    package static let dialDeadline: Duration = .seconds(10)
    /// The lead of clear text over TLS in a dial race.
    package static let dialRaceDelay: Duration = .milliseconds(500)
    /// How long after a dial the next one leaves clear text out.
    package static let clearTextPause: Duration = .seconds(120)
    /// The longest time that `Debug.SleepSeconds` may suspend a poll.
    package static let maximumSleep: Duration = .seconds(300)
}

/// Limits that we chose.
package enum ControlDefaults {
    /// The largest map message, packed or unfolded; a tailnet of 10,000 peers needs 9 MiB.
    package static let maximumMapByteCount = 64 << 20
    /// The largest header list in HTTP/2; real ones stay below 1 KiB.
    package static let maximumHeaderByteCount = 16 << 10
    /// The most addresses of a dial plan that are tried; real plans have a handful.
    package static let maximumDialCandidates = 10
    /// After how many failed dials in a row the server's key is fetched again.
    package static let failuresBeforeNewKey = 3
    /// How long an ordinary request may take; servers answer within milliseconds, slow paths within seconds.
    package static let requestDeadline: Duration = .seconds(30)
    /// The window of one HTTP/2 stream: large enough that a netmap is not held up by round trips.
    package static let streamWindowByteCount = 1 << 20
    /// The window of the HTTP/2 connection, shared by a poll and short requests.
    package static let connectionWindowByteCount = 4 << 20
    /// How often a server asks a client for a sign of life.
    package static let pingInterval = TimeAmount.seconds(30)
    /// How long a client may take to give it.
    package static let pingAnswerDeadline = TimeAmount.seconds(15)
    /// How long a session at a server may have no stream.
    package static let idleSessionDeadline = TimeAmount.minutes(5)
    /// How many streams a client may have open at our server at once.
    package static let maximumConcurrentStreams = 128
}

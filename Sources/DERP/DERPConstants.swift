package import Transport

/// Numbers of the DERP protocol, version 2 (tailscale `derp/derp.go`).
package enum DERPConstants {
    /// The protocol version of both info messages.
    package static let version = 2
    /// The first octets of the ServerKey frame: "DERP🔑".
    package static let magic: [UInt8] = [0x44, 0x45, 0x52, 0x50, 0xF0, 0x9F, 0x94, 0x91]
    /// Type and length of every frame.
    package static let frameHeaderByteCount = 5
    /// The largest packet that is relayed.
    package static let maximumPacketByteCount = 64 << 10
    /// The largest frame in steady state.
    package static let maximumFrameByteCount = 1 << 20
    /// The largest ServerKey frame.
    package static let maximumGreetingByteCount = 1024
    /// The largest ClientInfo frame.
    package static let maximumClientInfoByteCount = 256 << 10
    /// How long a login may take on either side, dialling included on the client's.
    package static let loginDeadline: Duration = .seconds(10)
    /// How long one node of a region may take to accept a connection.
    package static let dialDeadline: Duration = .milliseconds(1500)
    /// How long a client waits for any frame; servers send keep-alives every 60 to 65 s.
    package static let readDeadline: Duration = .seconds(120)
    /// How many packets wait for a slow connection; the oldest gives way.
    package static let sendQueueCount = 32
    /// How much of a batch of packets is written at once: some TLS records.
    package static let batchByteCount = 64 << 10
    /// The path of the upgrade.
    package static let upgradePath = "/derp"
    /// The path that is asked for the sake of the time that the answer takes.
    package static let latencyPath = "/derp/latency-check"
    /// The token of the upgrade, compared without case.
    package static let upgradeToken = "DERP"
    /// The upgrade over WebSocket: a whole packet with its frame header fits a message that comes in, and peers take 32 KiB.
    package static let webSocketRoute = WebSocketRoute(
        path: upgradePath,
        subprotocol: "derp",
        limits: WebSocketLimits(outgoingByteCount: 32 << 10, incomingByteCount: 128 << 10)
    )
    /// The beginning of a meta certificate's common name.
    package static let metaCertificatePrefix = "derpkey"
    /// The beginning of a `CertName` that pins a certificate.
    package static let pinPrefix = "sha256-raw:"
}

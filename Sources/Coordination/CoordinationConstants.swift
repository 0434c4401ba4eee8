import Tailcfg

/// Numbers that clients rely on.
enum CoordinationConstants {
    /// The pseudo user that owns tagged nodes (tailcfg).
    static let taggedUser = UserID(rawValue: 2_147_455_555)
    /// The one user of an embedded server.
    static let soleUser = UserID(rawValue: 1)
    /// The largest body of a request inside Noise.
    static let maximumBodyByteCount = 1 << 20
    /// Where clients answer what the server asks them.
    static let questionPath = "/c2n/"
    /// The message that only keeps a stream alive; stock clients compare its octets.
    static let keepAlive = #"{"KeepAlive":true}"#
}

/// Limits and times that we chose, with their reason.
package enum CoordinationDefaults {
    /// How long after its last stream a node still counts as online: a reconnecting client takes less.
    package static let offlineGraceSeconds: Int64 = 10
    /// How long nodes that were online at shutdown count as online after a start: back-off reaches 30 s.
    package static let restartGraceSeconds: Int64 = 60
    /// How long an ephemeral node may be offline unless the rules say otherwise.
    package static let ephemeralInactivitySeconds: Int64 = 300
    /// The life of a login URL.
    package static let loginLifetimeSeconds: Int64 = 900
    /// When a waiting follow-up is answered with the same URL again, so that no proxy cuts it.
    package static let followupSeconds: Int64 = 300
    /// The most logins that wait at once; the oldest gives way.
    package static let maximumPendingLogins = 1000
    /// Silence on a stream after which it gets a keep-alive, plus up to `keepAliveJitterSeconds`; clients give up at 120 s.
    package static let keepAliveSeconds: Int64 = 50
    /// Spreads the keep-alives of many streams.
    package static let keepAliveJitterSeconds: Int64 = 8
    /// The time between two beats: the first change is told at once, those that follow within it together.
    package static let beat = Duration.milliseconds(50)
    /// How often a given certificate is looked at for a newer one.
    package static let certificateCheckInterval = Duration.seconds(60)
    /// How long a write to a stream may block before the stream is reset.
    package static let blockedWriteSeconds: Int64 = 30
    /// How long a single-use key tolerates a repetition by the machine that used it.
    package static let repetitionSeconds: Int64 = 86_400
    /// How long a removed node's address is not given out again.
    package static let addressRestSeconds: Int64 = 86_400
    /// Ranges of at most so many addresses come round soon enough that resting ones are written down.
    static let smallRangeSize: UInt32 = 4096
    /// How long a retired node key may still hold its DERP connection, so that a farewell arrives.
    package static let evictionDelaySeconds: Int64 = 5
    /// How long a client may take to answer a question.
    package static let answerSeconds: Int64 = 30
    /// How long it may take to give a sign of life.
    package static let aliveSeconds: Int64 = 15
    /// Questions that wait to be written to one stream.
    package static let maximumQuestions = 16
    /// Requests that run at once over one connection, beyond which they are refused: a client has a poll and a handful of others.
    package static let maximumRequests = 32
    /// Endpoints kept of one node.
    package static let maximumEndpoints = 64
    /// Services kept of one node.
    package static let maximumServices = 64
    /// Routes kept of one node.
    package static let maximumRoutes = 512
    /// Former node keys remembered of one node, so that no other machine takes them.
    package static let maximumFormerKeys = 32
    /// Registrations that one machine may make at once, and per minute.
    package static let registerBurst = 20.0
    /// Registrations per minute of one machine.
    package static let registerPerMinute = 10.0
    /// Registrations per minute of one address, and at once.
    package static let registerPerMinuteOfAddress = 60.0
}

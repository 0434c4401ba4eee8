import NetTypes

/// Figures of the protocol (tailscale magicsock.go, netcheck.go).
package enum MagicsockConstants {
    /// How often an active peer's best path is pinged.
    static let heartbeatInterval = Duration.seconds(3)
    /// How long a pong proves a path: two heartbeats and some slack.
    static let trustDuration = Duration.milliseconds(6_500)
    /// How long a pong may take.
    package static let pingTimeout = Duration.seconds(5)
    /// How long a ping on demand may go without an answer, repetition included.
    package static let pingLimit = Duration.seconds(10)
    /// The length of a WireGuard handshake initiation, whose first octet is 1.
    static let initiationByteCount = 148
    /// The length of a WireGuard handshake response, whose first octet is 2.
    static let responseByteCount = 92
    /// How long WireGuard leaves a lost handshake alone: until then the socket sends it again when it sees a reason.
    static let handshakeLifetime = Duration.seconds(5)
    /// When an unanswered handshake message is sent again in any case: peers learn of each other one after the other.
    static let handshakeResendDelays: [Duration] = [.milliseconds(250), .milliseconds(1_000), .milliseconds(2_500)]
    /// How soon a handshake message is sent again after a relay said that the peer is not there (yet).
    static let handshakeResendInterval = Duration.milliseconds(100)
    /// How often at the most.
    static let handshakeResends = 20
    /// The least time between two discovery pings to one candidate.
    static let discoveryPingInterval = Duration.seconds(5)
    /// How long after the last outbound packet a peer stays active.
    static let sessionActiveTimeout = Duration.seconds(45)
    /// How often a better path is looked for while the present one is slow.
    static let upgradeInterval = Duration.seconds(60)
    /// A path this fast is good enough not to look for another.
    static let goodEnoughLatency = Duration.milliseconds(5)
    /// How old our own list of endpoints may be when a call-me-maybe carries it.
    static let endpointFreshness = Duration.seconds(27)
    /// The most endpoints of a peer without disco: each gets a copy of a handshake.
    static let maximumPlainEndpoints = 8
    /// The most candidates kept for one peer.
    static let maximumCandidates = 100
    /// The least time before the same home DERP change is reconsidered: what a history of reports spans.
    static let reportHistory = Duration.seconds(305)
    /// A candidate home must be faster by this much.
    static let homeAbsoluteGain = Duration.milliseconds(10)
    /// A frame this recent shows that the present home still works, whatever STUN says.
    static let homeFrameFreshness = Duration.seconds(8)
    /// A home connection that received something this recently is kept when nothing answers at all.
    static let homeKeptAlive = Duration.seconds(120)
    /// How often a full report is made.
    static let fullReportInterval = Duration.seconds(300)
    /// When STUN probing gives up.
    static let stunPhase = Duration.seconds(3)
    /// The time between two STUN tries to one region.
    static let stunRetryInterval = Duration.milliseconds(100)
    /// The same in an incremental report for a region that did not answer last time.
    static let stunUnknownInterval = Duration.milliseconds(200)
    /// How long a whole report may take, HTTPS included.
    static let reportLimit = Duration.seconds(5)
    /// How many regions are measured by HTTPS at once: each holds a TLS connection.
    static let httpsLanes = 4
    /// How long names of STUN servers are waited for.
    static let resolverLimit = Duration.seconds(2)
    /// How long a public endpoint is published after it was last seen.
    static let endpointMemory = Duration.seconds(310)
    /// How many endpoints are remembered of one address.
    static let endpointsPerAddress = 6
    /// How long a relay may take to answer after the local network changed.
    static let relayCheckTimeout = Duration.seconds(3)
    /// How many STUN tries a region gets in one report.
    static let stunTries = 3
    /// How often and for how long a DERP connection is kept that nothing is written to.
    static let derpSweepInterval = Duration.seconds(15)
    /// A DERP connection other than home's closes after this long without a write.
    static let derpIdleTimeout = Duration.seconds(60)
    /// The longest wait between two attempts to reach a DERP region.
    static let derpMaximumBackOff = Duration.seconds(5)
    /// A connection that lasted this long forgives all failures before it.
    static let derpStableAfter = Duration.seconds(10)
    /// The longest time that a relay may have us stay away.
    static let derpMaximumAdvice = Duration.seconds(60)
    /// How often the addresses of this machine are looked at where the kernel does not tell.
    static let networkPollInterval = Duration.seconds(10)
    /// How long a burst of changes of the local network is waited out.
    static let networkSettleTime = Duration.milliseconds(250)
    /// The host of the addresses that stand for "DERP"; the port is the region.
    static let derpAddress = IPAddress.v4(IPv4Address(127, 3, 3, 40))
}

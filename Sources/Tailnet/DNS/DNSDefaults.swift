import NetTypes

/// How names are asked for on a guest's behalf; the times and the number in flight are those of Tailscale's client.
enum DNSDefaults {
    /// How long a guest waits at the most.
    static let patience: Duration = .seconds(10)
    /// How long datagrams may take before TCP is tried beside them.
    static let headStart: Duration = .seconds(2)
    /// How long a conversation over TCP may take.
    static let streamPatience: Duration = .seconds(5)
    /// Queries of one node that wait for answers; more fail at once.
    static let maximumPending = 256
    /// Queries of a guest in the long run: more than a busy mail server asks, and nothing to flood others with.
    static let queriesPerSecond = 200
    /// Queries at once, as when a browser starts.
    static let queryBurst = 400
    /// Resolvers that one query goes to: each is one more packet for one of the guest's.
    static let maximumResolvers = 8
    /// The largest answer wanted over UDP by the host's network (tailscale: 4095).
    static let hostPayload: UInt16 = 4095
    /// The largest answer wanted over UDP through the tunnel: what fits one packet of 1280 octets behind IPv6 and UDP.
    static let tunnelPayload: UInt16 = 1232
    /// The largest message over TCP or HTTP.
    static let maximumMessage = 65_535
}

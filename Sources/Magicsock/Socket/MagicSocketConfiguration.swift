package import Logging
package import NetTypes
package import Tailcfg

/// What a socket needs to know before it starts.
package struct MagicSocketConfiguration {
    /// The one address that UDP is bound to; nil for all addresses of both families.
    package var bindAddress: IPAddress?
    /// The UDP port; 0 lets the kernel choose.
    package var port: UInt16 = 0
    /// Whether UDP is used at all; without it everything goes by relay.
    package var usesUDP = true
    /// Whether loopback addresses are published, because the whole tailnet is on this machine.
    package var includesLoopback = false
    /// Which addresses may be dialled that others chose.
    package var dialPolicy: any DialPolicy
    /// Opens relay connections.
    package var relayDialer: any RelayDialer
    /// Where to log.
    package var logger: Logger

    /// The defaults with what has none.
    package init(dialPolicy: any DialPolicy, relayDialer: any RelayDialer, logger: Logger) {
        self.dialPolicy = dialPolicy
        self.relayDialer = relayDialer
        self.logger = logger
    }
}

/// What control switches on or off for this node by attributes of its own entry in the map.
package struct MagicSocketSwitches: Hashable, Sendable {
    /// Whether nothing but TCP to port 443 may leave: no UDP at all.
    package var relayOnly = false
    /// Whether paths are kept alive by traffic alone, without heartbeats.
    package var silentDisco = false

    /// Everything as usual.
    package init() {}
}

/// What control must be told about how this node can be reached: a level, of which only the newest value counts.
package struct MagicSocketReport: Hashable, Sendable {
    /// The addresses to publish.
    package var endpoints: [PublishedEndpoint]
    /// What was found out about the network.
    package var netInfo: NetInfo
}

/// Takes what the socket received for the tunnel; called on the node's event loop.
package protocol MagicSocketSink: AnyObject {
    /// A datagram that is neither disco nor STUN, and so WireGuard's.
    ///
    /// - Parameters:
    ///   - datagram: The octets, good for the time of the call.
    ///   - source: Where a handshake message came from; unspecified for transport messages, which nobody answers.
    ///   - relayed: The peer whose packet a relay delivered; nil for what came by UDP.
    func magicSocketReceived(_ datagram: Span<UInt8>, from source: AddressPort, relayed: MagicPeer?)
    /// The end of a batch of datagrams: what was produced in answer can be flushed.
    func magicSocketReadComplete()
    /// `isWritable` changed.
    func magicSocketWritabilityChanged()
    /// The path to this peer changed.
    func magicSocketPathChanged(_ peer: MagicPeer)
    /// There is something new to tell control.
    func magicSocketReportChanged(_ report: MagicSocketReport)
}

/// Why datagrams were not sent or not used, counted in plain integers.
package struct MagicSocketDrops: Hashable, Sendable {
    /// Nothing was known about how to reach the peer.
    package var noPath: UInt64 = 0
    /// Relayed for a peer that is not in the network map.
    package var unknownPeer: UInt64 = 0
    /// Disco that was not authentic or not understood.
    package var badDisco: UInt64 = 0
    /// Behind a Geneve header, which this node never asks for.
    package var relayedByUDP: UInt64 = 0
    /// From or to an address that the dial policy refuses.
    package var refusedByPolicy: UInt64 = 0
}

package import Disco
package import NetTypes

/// What the pure path state asks its owner to do.
package enum PeerPathAction: Hashable, Sendable {
    /// Send a ping with this transaction to this address.
    case ping(AddressPort, TransactionID)
    /// Send our endpoints through the peer's home DERP, as soon as they are fresh.
    case callMeMaybe
    /// The best path is now another one, or none.
    case bestChanged
}

/// Where one outbound datagram goes.
package struct PeerRoute: Hashable, Sendable {
    /// The best UDP path, if there is one.
    package var direct: AddressPort?
    /// Whether the datagram must (also) go by DERP.
    package var useDERP: Bool
    /// Whether `poll` has work to do now: discovery is wanted or the heartbeat is to start.
    package var needsPoll: Bool

    /// Describes a way.
    package init(direct: AddressPort?, useDERP: Bool, needsPoll: Bool) {
        self.direct = direct
        self.useDERP = useDERP
        self.needsPoll = needsPoll
    }
}

/// Why a connection is about to be opened; what may be reached depends on it.
package enum DialPurpose: String, Hashable, Sendable, CaseIterable {
    /// A signed delivery to an endpoint that a user named.
    case webhook
    /// The download of a disk image.
    case image
    /// The control server of a tailnet.
    case control
    /// A relay out of a DERP map.
    case derp
    /// A STUN server out of a DERP map.
    case stun
    /// A DNS resolver that the tailnet names.
    case resolver
    /// A candidate endpoint of a peer.
    case disco
}

/// Decides which addresses an outbound connection may go to when someone outside chose the target.
package protocol DialPolicy: Sendable {
    /// Tells whether a connection to this address may be opened for this purpose.
    func permits(_ address: IPAddress, for purpose: DialPurpose) -> Bool
}

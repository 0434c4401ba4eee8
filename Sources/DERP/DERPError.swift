/// Why a DERP connection did not come about or ended.
package enum DERPError: Error, Equatable, Sendable {
    /// Every address of every node is forbidden by the dial policy.
    case blockedByPolicy
    /// The region has no node that speaks DERP.
    case noUsableNode
    /// No connection came about: name not resolved, refused, unreachable.
    case unreachable
    /// The proxy of this name (host and port) could not be reached.
    case proxyUnreachable(String)
    /// The proxy of this name did not open a tunnel.
    case proxyRefused(String, status: Int)
    /// TLS failed otherwise than by the certificate.
    case tlsFailed
    /// The server's certificate is not the one that is expected.
    case certificateRefused(DERPCertificateFault)
    /// The upgrade was answered with something else than 101.
    case upgradeRefused(status: Int)
    /// The server's first frame is no ServerKey.
    case badGreeting
    /// A sealed info message did not open, or is not JSON.
    case badInfo
    /// A frame exceeds its cap.
    case oversizedFrame
    /// A frame is shorter than its type demands, or may not be sent by this side.
    case malformedFrame
    /// A deadline passed: login, or 120 s without any frame.
    case timedOut
    /// The other side closed; during login that is how a server refuses a key.
    case connectionClosed
}

/// What was wrong with a server's certificate.
package enum DERPCertificateFault: Error, Equatable, Sendable {
    /// It cannot be parsed.
    case malformed
    /// Beside meta certificates there was none.
    case notPresented
    /// Beside meta certificates there was more than one.
    case tooMany
    /// Its hash is not the pinned one.
    case wrongHash
    /// It is not valid at this time.
    case expired
    /// It is for another host.
    case wrongHost
    /// No trusted authority vouches for it.
    case untrusted
}

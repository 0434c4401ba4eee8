/// Why a session with the control server did not come about or ended.
package enum ControlError: Error, Equatable, Sendable {
    /// The control URL is not `http(s)://host[:port]`.
    case invalidURL
    /// The control URL is clear text and the configuration does not allow it for this host.
    case plainHTTPRefused
    /// Every address of the host is forbidden by the dial policy.
    case blockedByPolicy
    /// No connection came about: name not resolved, refused, unreachable.
    case unreachable
    /// The server's TLS certificate was not accepted, or TLS failed otherwise.
    case tlsFailed
    /// The proxy of this name (host and port) could not be reached.
    case proxyUnreachable(String)
    /// The proxy of this name did not open a tunnel.
    case proxyRefused(String, status: Int)
    /// `GET /key` gave no usable key; the status is nil when the body was at fault.
    case keyUnavailable(status: Int?)
    /// The upgrade to the Noise transport was answered with something else than 101.
    case upgradeRefused(status: Int)
    /// The Noise handshake failed.
    case handshakeFailed(ControlHandshakeFault)
    /// A record was malformed, did not open, or came out of turn; the connection is lost.
    case invalidRecord
    /// The server answered a request with another status than 200; `detail` is at most 200 octets of printable text.
    case httpStatus(code: Int, detail: String)
    /// The server asks to wait (429); nil when it gave no usable delay.
    case rateLimited(retryAfter: Duration?)
    /// A reply was not what its schema says.
    case malformedResponse
    /// A header, frame or body exceeds its cap.
    case oversized
    /// The deadline of the operation passed.
    case timedOut
    /// The connection or stream ended before the reply was complete.
    case connectionClosed
}

/// What was wrong in a Noise handshake.
package enum ControlHandshakeFault: Equatable, Sendable {
    /// The message has another size than the protocol says.
    case wrongSize
    /// The message is of another type.
    case wrongType
    /// The length field disagrees with the protocol.
    case wrongLength
    /// A key agreement or an authentication tag failed; usually an outdated server key.
    case notAuthentic
    /// The peer sent an (unauthenticated) error frame.
    case refusedByPeer
}

extension ControlError {
    /// Text of a foreign server cut to `limit` octets, with everything unprintable replaced.
    package static func printable(_ text: String, limit: Int = 200) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let shown: Character = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? " " : Character(scalar)
            guard result.utf8.count + shown.utf8.count <= limit else { break }
            result.append(shown)
        }
        return result
    }
}

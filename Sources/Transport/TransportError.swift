import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Why a byte stream did not come about or ended.
package enum TransportError: Error, Equatable, Sendable {
    /// Every address of the target is forbidden by the dial policy.
    case blockedByPolicy
    /// No connection came about: name not resolved, refused, unreachable.
    case unreachable
    /// The peer's certificate was not accepted, or TLS failed otherwise.
    case tlsFailed
    /// The proxy of this name could not be reached.
    case proxyUnreachable(String)
    /// The proxy of this name answered `CONNECT` with a status that is no success.
    case proxyRefused(String, status: Int)
    /// The upgrade was answered with something else than it asked for.
    case upgradeRefused(status: Int)
    /// A reply is not HTTP.
    case malformedReply
    /// The peer broke the rules of WebSocket.
    case webSocketViolation
    /// A deadline passed.
    case timedOut
    /// The connection ended.
    case connectionClosed
}

extension TransportError {
    /// The cause behind an error of the network stack.
    package init(mapping error: any Error) {
        switch error {
        case let error as TransportError:
            self = error
        case let error as NIOConnectionError:
            let causes = error.connectionErrors.map { TransportError(mapping: $0.error) }
            let isBlocked = !causes.isEmpty && causes.allSatisfy { $0 == .blockedByPolicy }
            self = isBlocked ? .blockedByPolicy : .unreachable
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            self = .tlsFailed
        case let error as ChannelError:
            if case .connectTimeout = error { self = .timedOut } else { self = .connectionClosed }
        case is HTTPParserError, is NIOHTTPDecoderError:
            self = .malformedReply
        case is IOError, is SocketAddressError:
            self = .unreachable
        default:
            self = .connectionClosed
        }
    }
}

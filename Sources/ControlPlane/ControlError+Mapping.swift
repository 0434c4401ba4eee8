import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL

extension ControlError {
    /// The cause behind an error of the network stack.
    package init(mapping error: any Error) {
        switch error {
        case let error as ControlError:
            self = error
        case let error as NIOConnectionError:
            let blocked = error.connectionErrors.filter { ($0.error as? ControlError) == .blockedByPolicy }
            let all = error.connectionErrors.count
            self = all > 0 && blocked.count == all ? .blockedByPolicy : .unreachable
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            self = .tlsFailed
        case let error as ChannelError:
            if case .connectTimeout = error { self = .timedOut } else { self = .connectionClosed }
        case is HTTPParserError, is NIOHTTPDecoderError:
            self = .malformedResponse
        case is IOError, is SocketAddressError:
            self = .unreachable
        default:
            self = .connectionClosed
        }
    }
}

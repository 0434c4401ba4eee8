import Glibc
import NIOCore
import NetTypes

/// Asks the kernel's routing table about an address without sending anything.
enum UDPReachability {
    /// Whether a datagram to this address would leave the machine.
    ///
    /// A send without route closes a NIO channel, and what peers publish is not to be trusted with that.
    static func hasRoute(to endpoint: AddressPort) -> Bool {
        guard let address = endpoint.socketAddress else { return false }
        let descriptor = socket(
            endpoint.address.isIPv4 ? AF_INET : AF_INET6,
            Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue),
            0
        )
        guard descriptor >= 0 else { return false }
        defer { Glibc.close(descriptor) }
        return address.withSockAddr { pointer, size in connect(descriptor, pointer, socklen_t(size)) == 0 }
    }
}

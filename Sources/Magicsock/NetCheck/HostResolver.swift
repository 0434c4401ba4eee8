import Glibc
import NIOCore
import NIOPosix
import NetTypes

/// Looks names up with the host's resolver, away from the event loops.
enum HostResolver {
    // Threads of its own: a resolver that hangs must not hold up files and names of the rest of the daemon.
    private static let pool: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        return pool
    }()

    /// The addresses of `host` in the resolver's order; empty when it has none.
    static func addresses(of host: String, eventLoop: any EventLoop) -> EventLoopFuture<[IPAddress]> {
        if let literal = IPAddress(host) { return eventLoop.makeSucceededFuture([literal]) }
        return pool.runIfActive(eventLoop: eventLoop) { lookUp(host) }
    }

    private static func lookUp(_ host: String) -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var result: [IPAddress] = []
        var entry = list
        while let current = entry {
            if let address = address(of: current.pointee), !result.contains(address) { result.append(address) }
            entry = current.pointee.ai_next
        }
        return result
    }

    // The layout of sockaddr_in and sockaddr_in6: the address at 4 or 8, big-endian.
    private static func address(of info: addrinfo) -> IPAddress? {
        guard let start = info.ai_addr else { return nil }
        let octets = UnsafeRawBufferPointer(start: start, count: Int(info.ai_addrlen))
        switch info.ai_family {
        case AF_INET where octets.count >= 8:
            let raw = octets.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
            return .v4(IPv4Address(rawValue: UInt32(bigEndian: raw)))
        case AF_INET6 where octets.count >= 24:
            let address = IPv6Address(
                high: UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                low: UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            )
            return IPAddress.v6(address).unmapped
        default: return nil
        }
    }
}

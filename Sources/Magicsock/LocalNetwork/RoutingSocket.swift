import Glibc

/// The kernel's socket for news about links, addresses and routes (rtnetlink(7)).
enum RoutingSocket {
    // linux/netlink.h and linux/rtnetlink.h are not in Swift's view of Glibc.
    private static let family: Int32 = 16
    private static let route: Int32 = 0
    private static let groups: UInt32 = 0x10 | 0x40 | 0x100 | 0x400  // addresses and routes of both families

    /// A socket that becomes readable when something changed; nil where there is none to be had.
    static func open() -> Int32? {
        let type = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, type, route)
        guard descriptor >= 0 else { return nil }
        // struct sockaddr_nl: family u16, padding u16, port u32, groups u32.
        var address: (UInt16, UInt16, UInt32, UInt32) = (UInt16(family), 0, 0, groups)
        let result = withUnsafeBytes(of: &address) { octets in
            octets.baseAddress.map { base in
                bind(descriptor, base.assumingMemoryBound(to: sockaddr.self), socklen_t(octets.count))
            }
        }
        guard result == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }
}

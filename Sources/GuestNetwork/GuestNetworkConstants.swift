package import NetTypes

/// Values that others have fixed: QEMU, the RFCs, and the address plan of tailnets.
package enum GuestNetworkConstants {
    /// QEMU's `stream` netdev puts a frame's length before it: 4 octets, big-endian (net/stream.c).
    package static let lengthByteCount = 4
    /// The largest frame that QEMU sends: `NET_BUFSIZE`, 68 KiB (include/net/net.h).
    package static let maximumFrameByteCount = 4096 + 65536
    /// DNS over UDP.
    package static let dnsPort: UInt16 = 53
    /// Every packet of a tailnet fits 1280 octets (tailscale net/tstun).
    package static let mtu = 1280
    /// The guest's network holds itself and nobody else: everything goes to the gateway, so that a guest with ten
    /// thousand peers has one neighbor.
    package static let subnetMask = IPv4Address.broadcast
    /// The largest packet of DHCP or Neighbor Discovery that is looked at: a full one of a NIC that knows no MTU yet.
    static let maximumControlByteCount = 1500
}

/// Values that we chose.
package enum GuestNetworkDefaults {
    /// Our end of every guest's link: locally administered, and "WR" in the middle.
    ///
    /// It may be the same on every link, since each is a cable between one guest and its node.
    package static let ownHardwareAddress = MACAddress(rawValue: 0x0257_5200_0001)
    /// The NIC of every guest: QEMU's prefix and "WRN".
    ///
    /// Fixed, so that a guest that is cloned needs no change.
    package static let guestHardwareAddress = MACAddress(rawValue: 0x5254_0057_524E)
    /// A day: a daemon that is away for an evening must not cost a guest its address, and a new address is announced by
    /// the link going down and up, not by the lease.
    package static let leaseSeconds: UInt32 = 86_400
    /// How long a router advertisement holds: as long as the field can say (RFC 8319 §4), so that a daemon that is away
    /// for an evening costs a guest no route.
    package static let routerLifetimeSeconds = UInt16.max
    /// How often guests are told again of their router: often enough that one lost frame in a day harms nobody.
    package static let routerAdvertisementSeconds: Int64 = 3600
    /// How much may wait for the guest's NIC before packets to it are dropped: some 200 full packets, about what a NIC's
    /// own ring holds.
    package static let batchByteCount = 256 * 1024
}

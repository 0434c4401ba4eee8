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
    /// The on-link network of every guest: all of 100.64.0.0/10.
    package static let subnetMask = IPv4Address(255, 192, 0, 0)
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
    /// How much may wait for the guest's NIC before packets to it are dropped: some 200 full packets, about what a NIC's
    /// own ring holds.
    package static let batchByteCount = 256 * 1024
}
